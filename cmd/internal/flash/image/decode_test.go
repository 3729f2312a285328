package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
)

// packers are the tools that people compress images with; the first word of a name is
// the format's.
var packers = map[string][]string{
	"gzip":         {"gzip", "-c"},
	"xz":           {"xz", "-c"},
	"xz crc32":     {"xz", "-1", "-c", "--check=crc32"},
	"xz sha256":    {"xz", "-1", "-c", "--check=sha256"},
	"xz blocks":    {"xz", "-1", "-c", "-T2", "--block-size=4096"},
	"zstd":         {"zstd", "-c", "-q"},
	"zstd nocheck": {"zstd", "-c", "-q", "--no-check"},
	"zstd pzstd":   {"pzstd", "-q", "-c"},
	"bzip2":        {"bzip2", "-c"},
	"lz4":          {"lz4", "-c", "-q"},
	"lz4 linked":   {"lz4", "-c", "-q", "-BD", "-B4"},
}

// disk is an image with what images have: text, noise, zeros, a signature at the end of
// the first sector.
func disk(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{2}).Read(b[n/4 : n/3])
	copy(b[n/2:], bytes.Repeat([]byte("groundhog "), n/40))
	b[510], b[511] = 0x55, 0xaa
	return b
}

// packs is what packWith made: many tests pack the same.
var packs sync.Map // of packKey

type packKey struct {
	cmd string
	sum [sha256.Size]byte
}

func packWith(t testing.TB, cmd []string, b []byte) []byte {
	t.Helper()
	key := packKey{strings.Join(cmd, " "), sha256.Sum256(b)}
	if made, ok := packs.Load(key); ok {
		return bytes.Clone(made.([]byte))
	}
	c := exec.Command(judge.Tool(t, cmd[0]), cmd[1:]...)
	c.Stdin = bytes.NewReader(b)
	out := judge.Output(t, c)
	packs.Store(key, bytes.Clone(out))
	return out
}

func decoded(b []byte) ([]byte, string, error) {
	r, name, err := decodeBy(bytes.NewReader(b), decodeOptions{note: func(string) {}})
	if err != nil {
		return nil, name, err
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	return all, name, err
}

func TestDecode(t *testing.T) {
	want := disk(3 << 20)
	if got, name, err := decoded(want); !bytes.Equal(got, want) || name != "raw" || err != nil {
		t.Errorf("raw: %d bytes of %s, %v", len(got), name, err)
	}
	for name, cmd := range packers {
		b := packWith(t, cmd, want)
		format, _, _ := strings.Cut(name, " ")
		if got, as, err := decoded(b); !bytes.Equal(got, want) || as != format || err != nil {
			t.Errorf("%s: %d bytes of %s, %v", name, len(got), as, err)
		}
		// two, one behind the other
		twice := append(bytes.Clone(b), b...)
		if got, _, err := decoded(twice); len(got) != 2*len(want) || err != nil {
			t.Errorf("%s twice: %d bytes, %v", name, len(got), err)
		}
		for _, more := range []string{"x", "trailing garbage\n"} {
			if got, _, err := decoded(append(bytes.Clone(b), more...)); err == nil {
				t.Errorf("%s with %q behind it: %d bytes and no error", name, more, len(got))
			}
		}
	}
}

// A skippable frame has any of sixteen magic numbers (RFC 8878, section 3.1.2), and may stand before, between and behind others.
func TestZstdSkippable(t *testing.T) {
	want := disk(1 << 20)
	frame := packWith(t, packers["zstd"], want)
	for n := range byte(16) {
		skippable := []byte{0x50 + n, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}
		file := slices.Concat(skippable, skippable, frame, skippable, frame, skippable)
		if got, as, err := decoded(file); len(got) != 2*len(want) || !bytes.HasPrefix(got, want) || as != "zstd" || err != nil {
			t.Errorf("%d: %d bytes of %s, %v", n, len(got), as, err)
		}
	}
}

// What is beyond a decoder's bounds says what it is, and what to do.
func TestDecodeBeyond(t *testing.T) {
	dictionary := filepath.Join(t.TempDir(), "dictionary")
	samples := []string{"--train", "-q", "-o", dictionary}
	for n := range 100 {
		name := filepath.Join(t.TempDir(), "sample")
		old(t, name, bytes.Repeat([]byte{'a' + byte(n%26), byte(n)}, 200+n))
		samples = append(samples, name)
	}
	tool(t, "", "zstd", samples...)
	for name, c := range map[string]struct {
		cmd        []string
		says, hint string
	}{
		"zstd --long":  {[]string{"zstd", "-q", "-c", "--ultra", "--long=31"}, "zstd: it asks for a window of more than 128 MiB", "zstd -dc --long=31 "},
		"zstd -D":      {[]string{"zstd", "-q", "-c", "-D", dictionary}, "zstd: it was packed with a dictionary", "zstd -dc -D DICTIONARY "},
		"xz of 256 MB": {[]string{"xz", "-0", "-c", "--lzma2=dict=256MiB,mode=fast,mf=hc3"}, "xz: it asks for a dictionary of more than 128 MiB", "xz -dc "},
	} {
		_, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "image"), packWith(t, c.cmd, disk(1<<20))), "", nil)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(hint.Of(err), c.hint) {
			t.Errorf("%s: %v, %q", name, err, hint.Of(err))
		}
	}
	// xz knows arm64's filter since 5.4 alone: here it is x86's by another number, in a block's header (The .xz File Format, 3.1).
	b := packWith(t, []string{"xz", "-0", "-c", "--x86", "--lzma2"}, disk(1<<20))
	head := b[12:][:(int(b[12])+1)*4]
	sum := len(head) - 4
	if head[2] != 4 || binary.LittleEndian.Uint32(head[sum:]) != crc32.ChecksumIEEE(head[:sum]) {
		t.Fatalf("a block's header is %x", head)
	}
	head[2] = 0xa
	binary.LittleEndian.PutUint32(head[sum:], crc32.ChecksumIEEE(head[:sum]))
	for _, from := range []string{old(t, filepath.Join(t.TempDir(), "image"), b), "-"} {
		if _, err := Open(t.Context(), from, "", bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "xz: it was packed in a way") || !strings.HasPrefix(hint.Of(err), "xz -dc ") {
			t.Errorf("xz for arm64: %v, %q", err, hint.Of(err))
		}
	}
}

// lightly packs for a decoder that needs next to no memory: it is made for each cut and each bit.
func lightly(cmd []string) []string {
	more := map[string][]string{"xz": {"-0"}, "bzip2": {"-1"}, "lz4": {"-B4"}}
	return append(slices.Clone(cmd), more[cmd[0]]...)
}

// A file cut at any byte is never a whole one.
func TestCut(t *testing.T) {
	want := disk(5000)
	for name, cmd := range packers {
		b := packWith(t, lightly(cmd), want)
		for n := range judge.Places(len(b)) {
			if n < 10 {
				continue
			}
			if got, as, err := decoded(b[:n]); err == nil && len(got) > 0 { // of nothing, Open says that it is no image
				t.Fatalf("%s of %d bytes cut at %d: %d bytes of %s and no error", name, len(b), n, len(got), as)
			}
		}
	}
}

// What is behind the end is an error that names the decoder once.
func TestBehindEnd(t *testing.T) {
	for name, cmd := range packers {
		decoder := cmd[0]
		if decoder == "pzstd" {
			decoder = "zstd"
		}
		_, _, err := decoded(append(packWith(t, lightly(cmd), disk(5000)), "garbage\n"...))
		if err == nil || !strings.HasPrefix(err.Error(), decoder) || strings.Count(err.Error(), decoder) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A flipped bit is an error, or changes nothing that is on the disk.
func TestFlippedBits(t *testing.T) {
	want := disk(4096)
	for name, cmd := range packers {
		if name == "zstd nocheck" {
			continue // says itself that it does not check
		}
		b := packWith(t, lightly(cmd), want)
		for i := range judge.Places(len(b)) {
			if i < 10 {
				continue
			}
			bad := bytes.Clone(b)
			bad[i] ^= 1 << (i % 8)
			if got, _, err := decoded(bad); err == nil && !bytes.Equal(got, want) {
				t.Errorf("%s: a bit of byte %d changes the image and is no error", name, i)
			}
		}
	}
}

// What is no image is refused when it is opened, whatever it is packed with, unless somebody means it.
func TestNoImage(t *testing.T) {
	vdi := make([]byte, 512)
	copy(vdi[64:], "\x7f\x10\xda\xbe")
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar")
	refused := func(b []byte, want error, say string) {
		t.Helper()
		for _, stored := range [][]byte{b, packWith(t, packers["gzip"], b)} {
			name := old(t, filepath.Join(t.TempDir(), "disk.img"), stored)
			for _, from := range []string{name, "-"} {
				if _, err := Open(t.Context(), from, "", bytes.NewReader(stored)); !errors.Is(err, want) || !strings.Contains(err.Error(), say) {
					t.Errorf("%s: %v", say, err)
				}
				i, err := Open(t.Context(), from, "", bytes.NewReader(stored), Force(true))
				if len(b) == 0 {
					if err == nil {
						t.Error("nothing is an image by force")
					}
					continue
				}
				if err != nil {
					t.Errorf("%s, by force: %v", say, err)
					continue
				}
				if got, err := whole(i); err != nil || !bytes.Equal(got, b) && !bytes.Equal(got, stored) {
					t.Errorf("%s, by force: %d bytes, %v", say, len(got), err)
				}
				i.Close()
			}
		}
	}
	for want, content := range map[string]string{
		"empty":          "",
		"qcow2":          "QFI\xfb\x00\x00\x00\x03",
		"VDI":            string(vdi),
		"tar":            string(tar),
		"zip":            "PK\x03\x04 and so on",
		"Debian package": "!<arch>\ndebian-binary",
		"cpio":           "070701000000",
		"lz4's legacy":   string(packWith(t, []string{"lz4", "-l", "-c", "-q"}, disk(4096))),
		"an lzma file":   string(packWith(t, []string{"xz", "--format=lzma", "-c"}, disk(4096))),
		"web page":       "<!DOCTYPE html><title>404</title>",
	} {
		refused([]byte(content), ErrNoImage, want)
	}
	twice := packWith(t, packers["xz"], packWith(t, packers["gzip"], disk(4096)))
	if _, err := Open(t.Context(), "-", "", bytes.NewReader(twice)); !errors.Is(err, ErrNoImage) {
		t.Errorf("compressed twice: %v", err)
	}
	zeros := make([]byte, 2<<20)
	refused(zeros, ErrUnknown, "nothing but zeros")
	zeros[1<<19] = 1
	refused(zeros, ErrUnknown, "neither a partition table")
	vhd := disk(2 << 20)
	copy(vhd[len(vhd)-512:], "conectix")
	name := old(t, filepath.Join(t.TempDir(), "disk.vhd"), vhd)
	if _, err := Open(t.Context(), name, "", nil); !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), "VHD") {
		t.Errorf("a VHD of fixed size: %v", err)
	}
	blank := make([]byte, 2<<20)
	copy(blank[len(blank)-512:], "conectix")
	if _, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "blank.vhd"), blank), "", nil); !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), "VHD") {
		t.Errorf("a VHD of fixed size with nothing on it: %v", err)
	}
	if _, err := whole(open(t, "-", "", bytes.NewReader(packWith(t, packers["xz"], vhd)))); !errors.Is(err, ErrNoImage) {
		t.Errorf("a VHD of fixed size, in a stream: %v", err)
	}
}

// An image that has more by its own table than it is long is never whole: a file not at all, a stream not at its end.
func TestOwnLength(t *testing.T) {
	b := disk(3 << 20)
	b[446+4] = 0x83
	copy(b[446+8:], "\x00\x08\x00\x00\x00\x10\x00\x00") // from 1 MiB on, 2 MiB
	for _, cut := range []int{0, 1, 512, 1 << 20} {
		stored := b[:len(b)-cut]
		name := old(t, filepath.Join(t.TempDir(), "disk.img"), stored)
		i, err := Open(t.Context(), name, "", nil)
		if (err != nil) != (cut > 0) || err != nil && !errors.Is(err, ErrFit) {
			t.Errorf("%d bytes less: %v", cut, err)
		}
		if err == nil {
			if i.What() != "an MBR" || i.Fits(3<<20, 512) != nil || i.Fits(3<<20-512, 512) == nil || i.Fits(30<<20, 4096) == nil {
				t.Errorf("%s: %v, %v, %v", i.What(), i.Fits(3<<20, 512), i.Fits(3<<20-512, 512), i.Fits(30<<20, 4096))
			}
			i.Close()
		}
		for _, kind := range []string{"gzip", "bzip2"} {
			_, err := whole(open(t, "-", "", bytes.NewReader(packWith(t, packers[kind], stored))))
			if (err != nil) != (cut > 0) || err != nil && !errors.Is(err, ErrFit) {
				t.Errorf("%s, %d bytes less: %v", kind, cut, err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, cmd := range packers {
		f.Add(packWith(f, cmd, disk(2048)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _, err := decodeBy(bytes.NewReader(b), decodeOptions{note: func(string) {}})
		if err != nil {
			return
		}
		defer r.Close()
		io.Copy(io.Discard, io.LimitReader(r, 1<<24)) // an error or an end, no panic
	})
}

// An image that ends inside its last partition is whole where that holds a squashfs, all of it: OpenWrt's are. How it is
// packed does not matter.
func TestOwnLengthOfSquashfs(t *testing.T) {
	b := disk(3 << 20)
	b[446+4] = 0x83
	copy(b[446+8:], "\x00\x08\x00\x00\x00\x00\x02\x00") // from 1 MiB on, 64 MiB
	copy(b[1<<20:], "hsqs")
	for end, fits := range map[byte]bool{0x1f: true, 0x2f: false} { // the squashfs' length, in units of 64 KiB
		b[1<<20+42] = end
		for _, stored := range [][]byte{b, packWith(t, packers["gzip"], b), packWith(t, packers["zstd"], b), packWith(t, packers["xz"], b)} {
			for _, from := range []string{old(t, filepath.Join(t.TempDir(), "disk.img"), stored), "-"} {
				i, err := Open(t.Context(), from, "", bytes.NewReader(stored))
				if err == nil {
					if err = i.Fits(100<<20, 512); err != nil {
						t.Errorf("a disk that is large enough: %v", err)
					}
					if err = i.Ready(t.Context(), 0); err == nil {
						_, err = whole(i)
					}
					if err == nil {
						err = i.Fits(100<<20, 512)
					}
					i.Close()
				}
				if fits != (err == nil) || err != nil && !errors.Is(err, ErrFit) {
					t.Errorf("%d bytes from %s, squashfs %#x: %v", len(stored), from, end, err)
				}
			}
		}
	}
}
