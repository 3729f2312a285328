package sysroot

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

func TestTreeIsAFileSystem(t *testing.T) {
	low := writeTree(t, t.TempDir(), map[string]string{
		"usr/lib/a": "a", "lib": "-> usr/lib", "etc/only-low": "x", "etc/both": "low", "empty": "/",
	})
	high := writeTree(t, t.TempDir(), map[string]string{"etc/both": "high", "lib/b": "b"})
	pkg := writeDeb(t, deb(t, ".zst", directory("./"), directory("./lib/"), regular("./lib/c", "c"),
		symlink("./lib/a-link", "/lib/a")))
	tree := open(t, Dir(low), Debs(pkg), Dir(high))
	if err := fstest.TestFS(tree, "usr/lib/a", "usr/lib/b", "usr/lib/c", "usr/lib/a-link", "etc/both",
		"etc/only-low", "empty", "lib"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"etc/both": "high", "lib/a": "a", "lib/b": "b", "usr/lib/b": "b", "usr/lib/c": "c", "lib/c": "c", "lib/a-link": "a",
	} {
		if b, err := tree.ReadFile(name); string(b) != want || err != nil {
			t.Errorf("%s holds %q, %v, want %q", name, b, err, want)
		}
	}
	if diff := cmp.Diff([]string{low, pkg, high}, tree.Layers()); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
}

// A file of a higher layer hides a directory below it and all that is in it, and
// a directory over a file does not bring back what that file hid.
func TestWhatHides(t *testing.T) {
	dirs := make([]string, 3)
	for i, files := range []map[string]string{
		{"x/low": "1", "y/low": "1", "z": "-> y"},
		{"x": "a file", "y/mid": "2"},
		{"x/high": "3", "z/high": "3"},
	} {
		dirs[i] = writeTree(t, t.TempDir(), files)
	}
	tree := open(t, Dir(dirs[0]), Dir(dirs[1]), Dir(dirs[2]))
	got := slices.Sorted(maps.Keys(snapshot(t, tree)))
	want := []string{"x", "x/high", "y", "y/low", "y/mid", "z", "z/high"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := tree.Stat("x/low"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("x/low: %v", err)
	}
}

func TestOpenSaysWhy(t *testing.T) {
	dir := writeTree(t, t.TempDir(), map[string]string{"file": "x", "none/readme": "x"})
	judge.Must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	for _, c := range []struct {
		layer Layer
		want  string
	}{
		{Dir(filepath.Join(dir, "nothing")), "opening the root tree: DIR/nothing: no such file or directory"},
		{Dir(filepath.Join(dir, "file")), "opening the root tree: DIR/file: not a directory"},
		{Dir(filepath.Join(dir, "pipe")), "opening the root tree: DIR/pipe: not a directory"},
		{Debs(filepath.Join(dir, "nothing.deb")), "opening the root tree: opening package DIR/nothing.deb: no such file or directory"},
		{Debs(filepath.Join(dir, "none")), "opening the root tree: reading packages in DIR/none: no .deb file"},
		{Debs(filepath.Join(dir, "file")), "opening the root tree: reading DIR/file: no ar archive, which a .deb is"},
	} {
		tree, err := Open(Dir(dir), c.layer)
		if tree != nil || err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != c.want {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	if _, err := Open(); err == nil {
		t.Error("a tree of nothing")
	}
}

// Opening a named pipe would wait for a writer that never comes.
func TestPipesAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	judge.Must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	if _, err := open(t, Dir(dir)).Open("pipe"); !errors.Is(err, errNotRegular) {
		t.Errorf("error %v, want %v", err, errNotRegular)
	}
}

// counting counts what is asked of a layer.
type counting struct {
	layerStore
	lstats, opens map[string]int
}

func (c *counting) lstat(name string) (fs.FileInfo, error) {
	c.lstats[name]++
	return c.layerStore.lstat(name)
}

func (c *counting) open(name string) (fs.File, error) {
	c.opens[name]++
	return c.layerStore.open(name)
}

// Every library is below the same few directories, and programs share most of theirs.
func TestNothingIsLookedUpTwice(t *testing.T) {
	dir := t.TempDir()
	for name, f := range merged() {
		text := string(f.Data)
		if f.Mode.Type() == fs.ModeSymlink {
			text = "-> " + text
		}
		writeTree(t, dir, map[string]string{name: text})
	}
	tree := open(t, Dir(dir))
	c := &counting{tree.layers[0].layerStore, map[string]int{}, map[string]int{}}
	tree.layers[0].layerStore = c
	var lists [][]string
	for range 2 {
		list := judge.Value(Closure(tree, "usr/bin/prog", "usr/bin/sh"))(t)
		lists = append(lists, names(list))
	}
	if diff := cmp.Diff(lists[0], lists[1]); diff != "" || len(lists[0]) < 4 {
		t.Errorf("another closure of the same (-first +second):\n%s", diff)
	}
	for _, name := range []string{"usr", "usr/lib", "lib", "usr/lib/" + gnu, "usr/lib/" + gnu + "/liba.so.1"} {
		if n := c.lstats[name]; n != 1 {
			t.Errorf("%s: asked for %d times", name, n)
		}
	}
	for _, name := range []string{"usr/bin/sh", "usr/lib/" + gnu + "/libc.so.6"} {
		if n := c.opens[name]; n != 2 { // for its first bytes, and for all
			t.Errorf("%s: opened %d times", name, n)
		}
	}
}
