package extract

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
)

// FuzzExtract: whatever an archive holds, what is unpacked lies in its directory, is
// nobody else's way to rights or devices, and nobody else can look in.
func FuzzExtract(f *testing.F) {
	for _, c := range []initrd.Compression{initrd.None, initrd.Gzip} {
		b := judge.Value(tiny.New("bookworm", true).Bytes(c))(f)
		f.Add(b)
	}
	for _, entries := range [][]string{{"a", "120777", "../.."}, {"su", "104755", "x"}, {"disk", "060666", ""}, {".", "041777", ""}, {"a/b", "100644", "x"}} {
		var b bytes.Buffer
		mode := map[string]uint32{"120777": 0o120777, "104755": 0o104755, "060666": 0o060666, "041777": 0o041777, "100644": 0o100644}[entries[1]]
		b.WriteString(tiny.CpioHead(entries[0], mode, int64(len(entries[2]))) + entries[2])
		b.Write(make([]byte, -b.Len()&3))
		b.WriteString(tiny.CpioHead("TRAILER!!!", 0, 0))
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := initrd.Read(bytes.NewReader(b), initrd.Limits{Unpacked: 1 << 20, Entries: 100})
		if err != nil {
			return
		}
		around := t.TempDir()
		dir := filepath.Join(around, "tree")
		_, err = Into(dir, img, Options{})
		if err != nil && strings.Contains(err.Error(), "\x1b") {
			t.Fatalf("an error that steers a terminal: %q", err)
		}
		entries, _ := os.ReadDir(around)
		if len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "tree" {
			t.Fatalf("beside its directory: %v", entries)
		}
		if info, err := os.Lstat(dir); err == nil && info.Mode() != fs.ModeDir|0o700 {
			t.Fatalf("its directory is %v", info.Mode())
		}
		err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeDevice) != 0 {
				t.Fatalf("%q is %v", at, info.Mode())
			}
			return err
		})
		if err != nil && os.Geteuid() == 0 {
			t.Fatal(err)
		}
	})
}
