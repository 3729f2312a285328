package output

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// incomplete is the names of the files in dir that are not complete.
func incomplete(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), asideSuffix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func write(t *testing.T, o *Files, path string, perm os.FileMode) {
	t.Helper()
	err := o.Write(path, perm, func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err })
	if err != nil {
		t.Fatal(err)
	}
}

// Until a file is complete only its owner reads it, whatever it will be; what a run
// that was killed has left goes with the next, and what a living one is at stays.
func TestOutputsLeft(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	path := filepath.Join(dir, "x.json")
	var killed, living, last Files
	write(t, &killed, path, 0o644)
	left := incomplete(t, dir)
	if info, err := os.Stat(filepath.Join(dir, left[0])); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("incomplete it is %v, %v", info.Mode(), err)
	}
	killed.files[0].tmp.Close() // a process's locks end with it
	write(t, &living, path, 0o644)
	if names := incomplete(t, dir); len(names) != 1 || names[0] == left[0] {
		t.Errorf("%q is left of %q", names, left)
	}
	write(t, &last, path, 0o644)
	if names := incomplete(t, dir); len(names) != 2 {
		t.Errorf("%q, and two runs are at work", names)
	}
	if err := living.Commit(); err != nil {
		t.Error(err)
	}
	last.Discard()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 || len(incomplete(t, dir)) != 0 {
		t.Errorf("%v, %v, left %q", info, err, incomplete(t, dir))
	}
}

// What only looks like ours is left alone: others' files, links, other outputs'.
func TestOutputsOfOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	link := filepath.Join(dir, asidePrefix(path)+"A"+asideSuffix)
	other := filepath.Join(dir, asidePrefix(path+"y")+"A"+asideSuffix)
	precious := filepath.Join(dir, "precious")
	for _, name := range []string{precious, other} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(precious, link); err != nil {
		t.Fatal(err)
	}
	stays := []string{precious, other, link}
	if os.Geteuid() == 0 {
		foreign := filepath.Join(dir, asidePrefix(path)+"B"+asideSuffix)
		if err := os.WriteFile(foreign, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(foreign, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		stays = append(stays, foreign)
	}
	var o Files
	write(t, &o, path, 0o600)
	o.Discard()
	for _, name := range stays {
		if _, err := os.Lstat(name); err != nil {
			t.Error(err)
		}
	}
}
