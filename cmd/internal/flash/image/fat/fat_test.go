package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

const offset = 1 << 20

// made is an image with a filesystem of so many KiB at offset, as mtools makes it, and what is in it.
func made(t testing.TB, kib int, options ...string) ([]byte, map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	img := filepath.Join(dir, "img")
	judge.WriteFile(t, img, make([]byte, offset+kib<<10))
	run := func(name string, args ...string) {
		t.Helper()
		c := exec.Command(judge.Tool(t, name), append([]string{"-i", fmt.Sprintf("%s@@%d", img, offset)}, args...)...)
		c.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null")
		judge.Run(t, c)
	}
	run("mformat", append(options, "-T", fmt.Sprint(kib*2), "-N", "6D0AF00D", "-v", "FIRMWARE", "::")...)
	for _, d := range []string{"EFI", "EFI/Linux", "loader", "loader/entries"} {
		run("mmd", "::"+d)
	}
	files := map[string][]byte{"/loader/loader.conf": []byte("timeout 1\n"), "/EFI/Linux/empty": nil,
		"/EFI/Linux/a name that is long enough for three entries of it.efi": bytes.Repeat([]byte("0123456789abcde\n"), 9000)}
	for n := range 40 { // a directory of more than one cluster
		files[fmt.Sprintf("/loader/entries/debian-6.1.0-%d-amd64.conf", n)] = fmt.Appendf(nil, "title %d\n", n)
	}
	for name, b := range files {
		from := filepath.Join(dir, "file")
		judge.WriteFile(t, from, b)
		run("mcopy", from, "::"+name)
	}
	b := judge.ReadFile(t, img)
	return b, files
}

// Every file that mtools puts into a FAT of each kind is read as it was.
func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		kib, bits int
		options   []string
	}{"12": {1440, 12, nil}, "16": {16 << 10, 16, []string{"-c", "4"}}, "32": {40 << 10, 32, []string{"-F", "-c", "1"}}} {
		img, files := made(t, c.kib, c.options...)
		f, err := Open(bytes.NewReader(img), offset)
		if err != nil || f.bits != c.bits || f.ID != "6D0A-F00D" || f.Label != "FIRMWARE" {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		for path, want := range files {
			for _, as := range []string{path, strings.ToUpper(path), strings.ReplaceAll(path, "/", `\`)} {
				if got, err := f.ReadFile(as, 1<<20); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %s: %d bytes, %v", name, as, len(got), err)
				}
			}
		}
		if got, err := f.List("/loader/entries"); err != nil || len(got) != 40 || !slices.Contains(got, "debian-6.1.0-7-amd64.conf") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for _, none := range []string{"/nothing", "/loader/loader.conf/x", "/EFI/nothing/x"} {
			if _, err := f.ReadFile(none, 1<<20); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s: %v", name, none, err)
			}
		}
		if _, err := f.ReadFile("/loader", 1<<20); err == nil {
			t.Errorf("%s: a directory was read", name)
		}
		if _, err := f.ReadFile("/EFI/Linux/a name that is long enough for three entries of it.efi", 1000); err == nil || !strings.Contains(err.Error(), "more than 1000") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A chain that is a ring, or leads out of the filesystem, ends.
func TestChains(t *testing.T) {
	img, _ := made(t, 16<<10, "-c", "4")
	f := judge.Value(Open(bytes.NewReader(img), offset))(t)
	long := "/EFI/Linux/a name that is long enough for three entries of it.efi"
	e := judge.Value(f.findItem(long))(t)
	set := func(to uint32) {
		at := offset + f.table + int64(e.first)*2
		img[at], img[at+1] = byte(to), byte(to>>8)
	}
	for _, to := range []uint32{0, 1, f.clusters + 2, 0xfff7, 0xffff} {
		set(to)
		if _, err := f.ReadFile(long, 1<<20); !errors.Is(err, ErrBroken) {
			t.Errorf("cluster %#x: %v", to, err)
		}
	}
	set(e.first) // a ring gives as many bytes as the file says to have, and no more
	if got, err := f.ReadFile(long, 1<<20); err != nil || int64(len(got)) != e.size {
		t.Errorf("a ring: %d bytes, %v", len(got), err)
	}
	dir := judge.Value(f.findItem("/loader/entries"))(t)
	e = dir
	set(dir.first)
	if _, err := f.List("/loader/entries"); err != nil && !errors.Is(err, ErrBroken) {
		t.Errorf("a directory that is a ring: %v", err)
	}
}

// A directory that is in itself is read once, however long the path through it is, and of very many directories there is an end.
func TestDirectoriesAreBounded(t *testing.T) {
	img, _ := made(t, 40<<10, "-F", "-c", "1")
	f := judge.Value(Open(bytes.NewReader(img), offset))(t)
	counted := &countingReader{r: f.r}
	f.r = counted
	dir, err := f.findItem("/loader/entries")
	if err != nil {
		t.Fatal(err)
	}
	entry := offset + f.data + int64(dir.first-2)*f.cluster
	copy(img[entry:], append([]byte("A          \x10"), make([]byte, 20)...)) // "a" is this directory, without end
	binary.LittleEndian.PutUint16(img[entry+20:], uint16(dir.first>>16))
	binary.LittleEndian.PutUint16(img[entry+26:], uint16(dir.first))
	for n := int64(1); n < f.cluster/32; n++ {
		copy(img[entry+32*n:], fmt.Sprintf("%-11d\x20", n))
	}
	at := offset + f.table + int64(dir.first)*4
	binary.LittleEndian.PutUint32(img[at:], dir.first)
	f.known = map[uint32]*dirItems{}
	for range 10 {
		if _, err := f.ReadFile("/loader/entries"+strings.Repeat("/a", 500)+"/x", 1<<20); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrBroken) {
			t.Error(err)
		}
	}
	if counted.n > 2*maxDirectories {
		t.Errorf("%d bytes were read", counted.n)
	}
	for n := int64(0); n < f.cluster/32; n++ { // and now each of them is another one
		copy(img[entry+32*n:], fmt.Sprintf("%-11d\x10", n))
		binary.LittleEndian.PutUint16(img[entry+32*n+26:], uint16(dir.first)+uint16(n)+1)
		binary.LittleEndian.PutUint32(img[at+4*(n+1):], dir.first) // which goes on in the ring
	}
	f.known, f.seen, counted.n = map[uint32]*dirItems{}, 0, 0
	for n := range f.cluster / 32 {
		if _, err = f.List(fmt.Sprintf("/loader/entries/%d", n)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrBroken) || counted.n > 4*maxDirectories {
		t.Errorf("%d bytes were read: %v", counted.n, err)
	}
}

type countingReader struct {
	r io.ReaderAt
	n int64
}

func (c *countingReader) ReadAt(b []byte, off int64) (int, error) {
	c.n += int64(len(b))
	return c.r.ReadAt(b, off)
}

// Nothing that is read makes it fall over or run on, and what it lists it finds.
func FuzzRead(f *testing.F) {
	img, _ := made(f, 1440)
	f.Add(img[offset : offset+64<<10])
	f.Fuzz(func(t *testing.T, b []byte) {
		fat, err := Open(bytes.NewReader(b), 0)
		if err != nil {
			return
		}
		names, _ := fat.List("/")
		for _, n := range names {
			if strings.ContainsAny(n, `/\`) || n == "" {
				continue
			}
			if got, err := fat.ReadFile(n, 1<<20); errors.Is(err, fs.ErrNotExist) || len(got) > 1<<20 {
				t.Errorf("%q: %d bytes, %v", n, len(got), err)
			}
			fat.List(n)
		}
	})
}
