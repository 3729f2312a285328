package initrd

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// plain is what GNU cpio sees of each segment of img: unpacked by the real tool.
func plain(t *testing.T, img *Image) (all [][]byte) {
	b := write(t, img)
	img = read(t, b)
	for _, s := range img.Segments {
		all = append(all, unpack(t, s.Compression, b[s.Offset:s.Offset+s.Size]))
	}
	return all
}

// listing is GNU cpio's: types, modes, links, owners, sizes, devices, times.
func listing(t *testing.T, plain []byte) []string {
	out := string(pipe(t, "", plain, "cpio", "--quiet", "-itvn"))
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// Encoded again and edited, an archive is to GNU cpio what it was before, but
// for the edit; and the compressors' own tools unpack it.
func TestCpioJudges(t *testing.T) {
	all := fixtures(t)
	for name, b := range gnu(t) {
		all[name] = b
	}
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			before := read(t, b)
			img := read(t, recode(t, before))
			put(t, img, "groundhog", File{Mode: TypeFile | 0o640, Data: []byte("edit")})
			if img.Lookup("etc") != nil {
				put(t, img, "etc/groundhog", File{Mode: TypeLink | 0o777, Data: []byte("../groundhog")})
			}
			old, new := plain(t, read(t, b)), plain(t, img)
			for i := range old {
				lines := listing(t, new[i])
				for n, e := range img.Segments[i].Entries {
					if e.IsTrailer() {
						break // cpio lists the first run
					}
					if line := lines[n]; !strings.HasPrefix(line, e.ModeString()+" ") {
						t.Errorf("%s: cpio says %s", e, line)
					}
				}
				kept := slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "groundhog") })
				if diff := cmp.Diff(listing(t, old[i]), kept); diff != "" {
					t.Errorf("segment %d (-before +after):\n%s", i, diff)
				}
			}
		})
	}
}

// GNU cpio, unpacking segment after segment, ends with the tree that we say.
func TestTreeIsCpios(t *testing.T) {
	judge.Tools(t, "cpio")
	for name, b := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			img := read(t, recode(t, read(t, b)))
			put(t, img, "bin/groundhog", File{Mode: TypeFile | 0o755, Data: []byte("edit")})
			put(t, img, "usr/sbin/watchdog", File{Data: []byte("no longer linked")})
			dir := t.TempDir()
			for _, p := range plain(t, img) {
				// A stream may hold several runs, and cpio reads only the first.
				for _, p := range runs(p) {
					extract(t, dir, p)
				}
			}
			want := map[string]string{}
			for path, e := range img.Tree() {
				if path != "." && (os.Getuid() == 0 || e.Type() != TypeChar && e.Type() != TypeBlock) {
					want[path] = describe(e.Mode, e.Nlink, e.Mtime, e.Rdev, string(img.Content(e)))
				}
			}
			if diff := cmp.Diff(want, onDisk(t, dir)); diff != "" {
				t.Errorf("(-ours +cpio's):\n%s", diff)
			}
		})
	}
}

// runs cuts a stream behind each trailer and its zeros.
func runs(b []byte) (all [][]byte) {
	for len(b) > 0 {
		in := bytes.NewReader(b)
		s := &Segment{}
		if s.readRun(in, &budget{Limits: Limits{Unpacked: 1 << 30, Entries: 1 << 20}}) != nil {
			return append(all, b)
		}
		n := len(b) - in.Len()
		all = append(all, b[:n])
		b = b[n+countZeros(b[n:]):]
	}
	return all
}

func extract(t *testing.T, dir string, plain []byte) {
	args := []string{"--quiet", "-idmu", "--no-absolute-filenames"}
	if os.Getuid() != 0 { // cpio fails at device nodes that it may not make
		args = append(args, "-f", "dev/*")
	}
	pipe(t, dir, plain, "cpio", args...)
}

func describe(mode, nlink, mtime uint32, rdev Device, content string) string {
	switch mode & TypeMask {
	case TypeDir:
		nlink, mtime = 0, 0 // what is in it decides
	case TypeLink:
		mtime = 0 // cpio leaves it alone
	}
	return fmt.Sprintf("%s %d links %d %v %q", ModeString(mode), nlink, mtime, rdev, content)
}

func onDisk(t *testing.T, dir string) map[string]string {
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		var content []byte
		switch {
		case d.Type().IsRegular():
			content, err = os.ReadFile(path)
		case d.Type()&fs.ModeSymlink != 0:
			var to string
			to, err = os.Readlink(path)
			content = []byte(to)
		}
		rdev := Device{uint32(st.Rdev >> 8 & 0xfff), uint32(st.Rdev&0xff | st.Rdev>>12&0xfff00)}
		name, _ := filepath.Rel(dir, path)
		got[name] = describe(st.Mode, uint32(st.Nlink), uint32(st.Mtim.Sec), rdev, string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Each compressor's own test passes what we encode, at every level, and what
// the kernel must know of it is in it.
func TestToolsJudge(t *testing.T) {
	content := strings.Repeat("compress me, but not to nothing: 0123456789\n", 1000)
	img := judge.Value(New(None, dir("."), file("f", content)))(t)
	want := write(t, img)
	judge := map[Compression][]string{Gzip: {"gzip", "-t"}, Zstd: {"zstd", "-qt"}, Xz: {"xz", "-t"}, Lz4: {"lz4", "-qt"}}
	for c, args := range judge {
		m, _ := methodOf(c)
		for level := range m.maxLevel + 1 {
			if err := img.Segments[0].Encode(c, level); err != nil {
				t.Fatal(err)
			}
			b := write(t, img)
			pipe(t, "", b, args[0], args[1:]...)
			if !bytes.Equal(unpack(t, c, b), want) || len(b) > len(want)/4 {
				t.Errorf("%s -%d: %d bytes that unpack to something else", c, level, len(b))
			}
			name := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			switch c {
			case Xz:
				lists(t, `CRC32`, "xz", "-lv", name)
				lists(t, `--lzma2=dict=(1|2|4|8|16|32|64)MiB`, "xz", "-lvv", name)
			case Zstd:
				lists(t, fmt.Sprintf(`Decompressed Size: .*\(%d B\)[^$]*Check: XXH64`, len(want)), "zstd", "-lv", name)
			}
		}
	}
	for _, bad := range []struct {
		c     Compression
		level int
	}{{Lzma, 0}, {Bzip2, 0}, {"brotli", 0}, {None, 1}, {Gzip, 10}, {Zstd, -1}} {
		if err := img.Segments[0].Encode(bad.c, bad.level); err == nil {
			t.Errorf("%s at level %d was taken", bad.c, bad.level)
		}
	}
}

func lists(t *testing.T, want string, tool string, args ...string) {
	t.Helper()
	if out := pipe(t, "", nil, tool, args...); !regexp.MustCompile(want).Match(out) {
		t.Errorf("%s says nothing of %s:\n%s", tool, want, out)
	}
}

// What xz and its relatives can be told to write, and the kernel reads.
func TestForms(t *testing.T) { forms(t, 4) }

// forms tries one in some.
func forms(t *testing.T, one int) {
	elf := judge.ReadFile(t, "/proc/self/exe")
	in := run(dir("."), file("elf", string(elf[:1<<20])), file("text", strings.Repeat("text\n", 50000)))
	want := tree(read(t, in))
	for i, line := range []string{
		"xz -0 --check=none", "xz -0 --check=crc32 --threads=2 --block-size=65536", "xz --x86 --lzma2=preset=0 --check=crc32",
		"xz -0 --check=crc32 --arm --lzma2=preset=0", "xz --check=crc32 --lzma2=dict=128MiB,mode=fast,mf=hc3",
		"xz -0 --check=crc32 --block-list=1000,2000,0", "xz --format=lzma --lzma1=preset=0,dict=4KiB", "lzma -1",
		"zstd -q -19", "zstd -q --no-check", "zstd -q -1 --no-content-size", "zstd -q -1 --ultra --long=27", "zstd -q --fast=5",
		"gzip -1", "gzip --rsyncable", "bzip2 -9", "lz4 -q -l -1", "lz4 -q -l -12", "lzop -1", "lzop -9", "lzop --crc32",
	} {
		if i%one != 0 {
			continue
		}
		args := strings.Fields(line)
		b := pipe(t, "", in, args[0], append(args[1:], "-c")...)
		tail := pack(t, Zstd, run(dir("."), file("behind", "it")))
		img, err := Read(bytes.NewReader(join(b, make([]byte, 4), tail)), Limits{})
		if err != nil || len(img.Segments) != 2 || img.Segments[0].Size != int64(len(b)) {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if diff := cmp.Diff(want, tree(read(t, b))); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
}

// initramfs-tools reads what we write. (A plain archive alone its 0.142 takes
// for microcode with nothing behind it.)
func TestInitramfsToolsJudge(t *testing.T) {
	judge.Tools(t, "lsinitramfs", "unmkinitramfs", "cpio", "zstd")
	early, main := run(dir("kernel"), file("kernel/microcode", "µ")), run(dir("."), symlink("bin", "usr/bin"),
		dir("usr"), dir("usr/bin"), hardlink(3, 2, "usr/bin/sh", ""), hardlink(3, 2, "usr/bin/busybox", "busybox"))
	for _, c := range Writable[1:] {
		for _, b := range [][]byte{pack(t, c, main), join(early, pack(t, c, main))} {
			img := read(t, b)
			put(t, img, "bin/groundhog", File{Mode: TypeFile | 0o755, Data: []byte("edit")})
			recode(t, img)
			dir := t.TempDir()
			path := filepath.Join(dir, "initrd.img")
			if err := os.WriteFile(path, write(t, img), 0o600); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, s := range img.Segments {
				want = append(want, names(s)...)
			}
			got := strings.Fields(string(pipe(t, dir, nil, "lsinitramfs", path)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: lsinitramfs (-ours +its):\n%s", c, diff)
			}
			pipe(t, dir, nil, "unmkinitramfs", path, "out")
			out := "out"
			if len(img.Segments) > 1 {
				out = "out/main"
			}
			for name, want := range map[string]string{"groundhog": "edit", "sh": "busybox"} {
				if b, err := os.ReadFile(filepath.Join(dir, out, "usr/bin", name)); string(b) != want {
					t.Errorf("%s: unmkinitramfs: %s is %q, %v", c, name, b, err)
				}
			}
		}
	}
}
