package initrd

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// What the tests share: archives made without our own writer, and real tools.

// pipe runs a tool on in and returns what it says; it must succeed.
func pipe(t testing.TB, dir string, in []byte, tool string, args ...string) []byte {
	t.Helper()
	judge.Tools(t, tool)
	cmd := exec.Command(tool, args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC0")
	return judge.Output(t, cmd)
}

// cli is how each compression's own tool makes and unmakes it.
var cli = map[Compression]struct{ pack, unpack []string }{
	None:  {[]string{"cat"}, []string{"cat"}},
	Gzip:  {[]string{"gzip", "-c"}, []string{"gzip", "-dc"}},
	Zstd:  {[]string{"zstd", "-q", "-c"}, []string{"zstd", "-q", "-dc"}},
	Xz:    {[]string{"xz", "-0", "-c", "--check=crc32"}, []string{"xz", "-dc"}},
	Lzma:  {[]string{"xz", "-0", "-c", "--format=lzma"}, []string{"xz", "-dc", "--format=lzma"}},
	Bzip2: {[]string{"bzip2", "-1", "-c"}, []string{"bzip2", "-dc"}},
	Lzo:   {[]string{"lzop", "-c"}, []string{"lzop", "-dc"}},
	Lz4:   {[]string{"lz4", "-q", "-l", "-c"}, []string{"lz4", "-q", "-dc"}},
}

var compressions = []Compression{None, Gzip, Zstd, Xz, Lzma, Bzip2, Lzo, Lz4}

func pack(t testing.TB, c Compression, plain []byte) []byte {
	t.Helper()
	return pipe(t, "", plain, cli[c].pack[0], cli[c].pack[1:]...)
}

func unpack(t testing.TB, c Compression, packed []byte) []byte {
	t.Helper()
	return pipe(t, "", packed, cli[c].unpack[0], cli[c].unpack[1:]...)
}

// record is one cpio record as cpio(5) has it, written independently of the
// package: whatever e says is what is written.
func record(e Entry) []byte {
	magic, sum := "070701", uint32(0)
	if e.Sum {
		magic = "070702"
		for _, c := range e.Data {
			sum += uint32(c)
		}
		if e.Mode&TypeMask != TypeFile {
			sum = 0
		}
	}
	name := e.Name + "\x00" + strings.Repeat("\x00", e.namePad)
	b := fmt.Appendf(nil, "%s%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s", magic, e.Ino, e.Mode, e.UID,
		e.GID, e.Nlink, e.Mtime, len(e.Data), e.Dev.Major, e.Dev.Minor, e.Rdev.Major, e.Rdev.Minor, len(name), sum, name)
	b = zeros(b, 4)
	return zeros(append(b, e.Data...), 4)
}

// zeros fills b up to a multiple of n.
func zeros(b []byte, n int) []byte { return append(b, make([]byte, (n-len(b)%n)%n)...) }

// run is a run of records, its trailer, and zeros up to a multiple of 512.
func run(entries ...Entry) []byte {
	var b []byte
	for _, e := range append(entries, Entry{Name: "TRAILER!!!", Nlink: 1}) {
		b = append(b, record(e)...)
	}
	return zeros(b, 512)
}

func file(name, data string) Entry {
	return Entry{Name: name, Mode: TypeFile | 0o644, Nlink: 1, Data: []byte(data)}
}

func dir(name string) Entry { return Entry{Name: name, Mode: TypeDir | 0o755, Nlink: 2} }

func symlink(name, target string) Entry {
	return Entry{Name: name, Mode: TypeLink | 0o777, Nlink: 1, Data: []byte(target)}
}

func hardlink(ino uint32, nlink uint32, name, data string) Entry {
	return Entry{Name: name, Mode: TypeFile | 0o755, Ino: ino, Nlink: nlink, Data: []byte(data)}
}

// join is the parts one after the other.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// fixtures is the archives that ../fixtures/archives/make.sh made.
func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../fixtures/archives/*.[ci][pm]*")
	if err != nil || len(names) < 12 {
		t.Fatalf("fixtures: %d found, %v", len(names), err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		if all[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func read(t testing.TB, b []byte) *Image {
	t.Helper()
	return judge.Value(Read(bytes.NewReader(b), Limits{}))(t)
}

func write(t testing.TB, img *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	n := judge.Value(img.WriteTo(&b))(t)
	if n != int64(b.Len()) {
		t.Fatalf("WriteTo says %d bytes and wrote %d", n, b.Len())
	}
	return b.Bytes()
}

// recode encodes every segment again, bzip2, lzma and lzo as gzip.
func recode(t testing.TB, img *Image) []byte {
	t.Helper()
	for _, s := range img.Segments {
		c := s.Compression
		if c == Lzma || c == Bzip2 || c == Lzo {
			c = Gzip
		}
		level := 0
		if c == Xz {
			level = 1 // its dictionary is an eighth of the default's
		}
		judge.Must(t, s.Encode(c, level))
	}
	return write(t, img)
}

// tree is all that the kernel has of img in the end, a line for each path.
func tree(img *Image) []string {
	var lines []string
	groups := map[any]string{}
	for name, e := range img.Tree() {
		content := img.Content(e)
		line := fmt.Sprintf("%s %s %d:%d %d %d,%d %d %08x %.60q", name, e.ModeString(), e.UID, e.GID, e.Mtime,
			e.Rdev.Major, e.Rdev.Minor, len(content), crc32.ChecksumIEEE(content), content)
		if id := e.LinkID(); id != nil {
			if groups[id] == "" {
				groups[id] = name
			}
			line += " = " + groups[id]
		}
		lines = append(lines, line)
	}
	return lines
}
