package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// debTar is a tar with those files, by name and content in turn.
func debTar(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		judge.Must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}))
		judge.Value(w.Write([]byte(files[i+1])))(t)
	}
	judge.Must(t, w.Close())
	return b.Bytes()
}

// debFile is a .deb with that control file and those data files; mode is what its
// ar headers say, which may be anything.
func debFile(t testing.TB, mode, control string, files ...string) []byte {
	b := []byte("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", debTar(t, "./control", control)}, {"data.tar", debTar(t, files...)}} {
		b = fmt.Appendf(b, "%-16s%-12s%-6s%-6s%-8s%-10d`\n", m.name, "0", "0", "0", mode, len(m.data))
		b = append(b, m.data...)
	}
	return b
}

const helloControl = "Package: hello\nVersion: 1\nArchitecture: amd64\n"

// There is one reader of packages: what is unpacked is what is recorded, whatever
// the mode in an ar header says and whatever the directory is called.
func TestDebsAreReadOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "debs [a-b]*")
	judge.Must(t, os.Mkdir(dir, 0o755))
	one := filepath.Join(dir, "[hello]_1.deb")
	for _, mode := range []string{"100644", "1", "", "-7", "zzzzzzzz"} {
		judge.Must(t, os.WriteFile(one, debFile(t, mode, helloControl, "./usr/bin/hello", "hi\n"), 0o644))
		for _, source := range []string{one, dir} {
			code, out, errs := here("manifest", source)
			if code != 0 || !strings.Contains(out, `"name": "hello"`) || !strings.Contains(out, `"path": "usr/bin/hello"`) {
				t.Errorf("mode %q, %s: exit code %d, %s", mode, source, code, errs)
			}
		}
		if code, _, errs := here("diff", one, dir); code != 0 {
			t.Errorf("mode %q: exit code %d: %s", mode, code, errs)
		}
		if code, out, errs := here("manifest", one, "--deb", dir); code != 0 || !strings.Contains(out, `"name": "[hello]_1.deb"`) {
			t.Errorf("mode %q, as layer: exit code %d, %s", mode, code, errs)
		}
	}
}

// What no dpkg would take for a package's name names no file of ours.
func TestDebNames(t *testing.T) {
	one := filepath.Join(t.TempDir(), "x.deb")
	for _, control := range []string{"", "Package: ../../../etc\nArchitecture: all\n", "Package: a\nArchitecture: ../x\n", "Package: a/b\nArchitecture: all\n",
		"Package: a\x1b[2J\nArchitecture: all\n", "Package: a\nArchitecture: all\n\nPackage: b\nArchitecture: all\n"} {
		judge.Must(t, os.WriteFile(one, debFile(t, "100644", control, "./x", "x"), 0o644))
		if code, _, errs := here("manifest", one); code != 2 || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "\x1b") {
			t.Errorf("%q: exit code %d: %q", control, code, errs)
		}
	}
}
