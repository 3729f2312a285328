package sysroot

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
)

func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return []byte(judge.Run(t, cmd))
}

// writeTree makes files below dir: "text", "-> target" for a link, "/" for a
// directory.
func writeTree(t testing.TB, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		full := filepath.Join(dir, name)
		judge.Must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		switch target, link := bytes.CutPrefix([]byte(text), []byte("-> ")); {
		case link:
			judge.Must(t, os.Symlink(string(target), full))
		case text == "/":
			judge.Must(t, os.MkdirAll(full, 0o755))
		default:
			judge.Must(t, os.WriteFile(full, []byte(text), 0o644))
		}
	}
	return dir
}

func open(t testing.TB, layers ...Layer) *Tree {
	t.Helper()
	tree := judge.Value(Open(layers...))(t)
	t.Cleanup(func() { judge.Must(t, tree.Close()) })
	return tree
}

func link(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

func file(b []byte) *fstest.MapFile { return &fstest.MapFile{Data: b, Mode: 0o755} }

// snapshot is a tree as text: what is where, modes and contents included.
func snapshot(t testing.TB, fsys fs.FS) map[string]string {
	t.Helper()
	got := map[string]string{}
	judge.Must(t, fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		fi, err := d.Info()
		judge.Must(t, err)
		text := ""
		switch fi.Mode().Type() {
		case fs.ModeSymlink:
			text, err = fs.ReadLink(fsys, name)
		case 0:
			var b []byte
			b, err = fs.ReadFile(fsys, name)
			text = fi.Mode().String() + " " + string(b)
		}
		judge.Must(t, err)
		got[name] = fi.Mode().Type().String() + " " + text
		return nil
	}))
	return got
}
