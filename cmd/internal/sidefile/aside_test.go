package sidefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"groundhog/fixtures/judge"
)

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root := judge.Value(os.OpenRoot(dir))(t)
	t.Cleanup(func() { root.Close() })
	return root
}

func newAside(t *testing.T, dir *os.Root, name, text string) *Aside {
	t.Helper()
	a, err := NewAside(dir, name)
	if err == nil {
		_, err = a.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Discard)
	return a
}

// incomplete is the names of the files in dir that are not complete.
func incomplete(t *testing.T, dir string) []string {
	t.Helper()
	return judge.Value(filepath.Glob(filepath.Join(dir, ".*"+asideSuffix)))(t)
}

// Until a file has its name only its owner reads it, whatever the umask, and what was there before stays. What a killed run has
// left goes with the next, and what a living one is at stays, written or complete.
func TestAside(t *testing.T) {
	old := syscall.Umask(0o777)
	defer syscall.Umask(old)
	for _, below := range []string{"", "below"} {
		dir := t.TempDir()
		at := filepath.Join(dir, below)
		judge.Must(t, os.MkdirAll(at, 0o700))
		judge.Must(t, os.Chmod(at, 0o700))
		root, name := openRoot(t, dir), filepath.Join(below, "x.json")
		file := filepath.Join(dir, name)
		if err := Replace(root, name, func(f *os.File) error { _, err := f.WriteString("before"); return err }); err != nil {
			t.Fatal(err)
		}
		killed := newAside(t, root, name, "killed")
		left := incomplete(t, at)
		if info, err := os.Stat(left[0]); len(left) != 1 || err != nil || info.Mode() != 0o600 {
			t.Errorf("incomplete %q: %v, %v", left, info, err)
		}
		killed.File.Close() // a process's locks end with it
		living := newAside(t, root, name, "living")
		if names := incomplete(t, at); len(names) != 1 || names[0] == left[0] {
			t.Errorf("%q is left of %q", names, left)
		}
		judge.Must(t, living.Complete(0o644))
		last := newAside(t, root, name, "last")
		if b, err := os.ReadFile(file); string(b) != "before" {
			t.Errorf("before anything is complete: %q, %v", b, err)
		}
		judge.Must(t, living.Become(name))
		last.Discard()
		b, err := os.ReadFile(file)
		if info, cause := os.Stat(file); string(b) != "living" || cause != nil || info.Mode() != 0o644 || len(incomplete(t, at)) != 0 {
			t.Errorf("%q, %v, %v, left %q", b, info.Mode(), errors.Join(err, cause), incomplete(t, at))
		}
	}
}

// A name as long as a file system takes it, with characters of one byte and of several, can be written, and what a killed run has left of it goes.
func TestAsideOfLongName(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 255), "x" + strings.Repeat("\u00e9", 127)} {
		dir := t.TempDir()
		root := openRoot(t, dir)
		newAside(t, root, name, "killed").File.Close()
		if err := Replace(root, name, func(f *os.File) error { _, err := f.WriteString("text"); return err }); err != nil {
			t.Fatal(err)
		}
		if text := string(judge.ReadFile(t, filepath.Join(dir, name))); text != "text" {
			t.Errorf("%q", text)
		}
		for _, left := range judge.Value(os.ReadDir(dir))(t) {
			if left.Name() != name {
				t.Errorf("left: %q", left.Name())
			}
		}
	}
}

// What cannot be written to its end leaves nothing, and what was there before stays.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	for _, text := range []string{"first", "second"} {
		err := Replace(root, "x", func(f *os.File) error {
			_, err := f.WriteString(text)
			if text == "second" {
				err = syscall.ENOSPC
			}
			return err
		})
		if b, _ := os.ReadFile(filepath.Join(dir, "x")); (err == nil) != (text == "first") || string(b) != "first" {
			t.Errorf("%s: %v, %q", text, err, b)
		}
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if err := Replace(root, "nowhere/x", func(*os.File) error { return nil }); err == nil || !strings.Contains(err.Error(), dir+"/nowhere: no such") {
		t.Errorf("where there is no directory: %v", err)
	}
}

// Of several who make a file at once the first one's counts.
func TestBecomeFirst(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	first, second := newAside(t, root, "key", "first"), newAside(t, root, "key", "second")
	if err := first.BecomeFirst("key"); err != nil {
		t.Error(err)
	}
	if err := second.BecomeFirst("key"); !errors.Is(err, os.ErrExist) {
		t.Errorf("the second: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "key")); string(b) != "first" || len(incomplete(t, dir)) != 0 {
		t.Errorf("%q, %v, left %q", b, err, incomplete(t, dir))
	}
}

// What only looks like ours is left alone: others' files, links, what is of other names. What stands at the name is replaced, not
// written through.
func TestAsideOfOthers(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	link, other, foreign := at(asidePrefix("x")+"A"+asideSuffix), at(asidePrefix("xy")+"A"+asideSuffix), at(asidePrefix("x")+"B"+asideSuffix)
	for _, name := range []string{at("precious"), other, foreign} {
		judge.WriteFile(t, name, "precious")
	}
	judge.Must(t, errors.Join(os.Symlink("precious", link), os.Symlink("precious", at("x"))))
	if err := os.Chown(foreign, 12345, 12345); errors.Is(err, os.ErrPermission) {
		judge.Missing(t, "root, who alone makes files of others")
	} else if err != nil {
		t.Fatal(err)
	}
	judge.Must(t, Replace(root, "x", func(*os.File) error { return nil }))
	for _, name := range []string{at("precious"), other, link, foreign} {
		if b, err := os.ReadFile(name); string(b) != "precious" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if info, err := os.Lstat(at("x")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}
