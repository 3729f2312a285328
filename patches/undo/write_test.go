package undo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/handmade"
	"groundhog/fixtures/judge"

	"github.com/google/go-cmp/cmp"
)

func smallTree(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "a\n", "d/b": "b\n", "d/c": "c\n"} {
		at := filepath.Join(dir, name)
		judge.Must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		judge.Must(t, os.WriteFile(at, []byte(text), 0o640))
	}
	return dir
}

var someChanges = []Change{
	{Path: "new/er/n", After: []byte("n\n"), Mode: 0o600},
	{Path: "a", Before: []byte("a\n"), After: []byte("A\n"), Mode: 0o755},
	{Path: "d/b", Before: []byte("b\n")},
	{Path: "d/c", Before: []byte("c\n"), After: []byte("C\n"), Mode: 0o640, Like: "d/b"},
}

func TestWriteTree(t *testing.T) {
	dir := smallTree(t)
	before := handmade.Snapshot(t, dir)
	judge.Must(t, Write(dir, nil, someChanges))
	after := handmade.Snapshot(t, dir)
	for name, want := range map[string]string{"/new/er/n": "-rw------- n", "/a": "-rwxr-xr-x A", "/d/c": "-rw-r----- C"} {
		if mode, text, _ := strings.Cut(want, " "); !strings.HasPrefix(after[name], mode) || !strings.HasSuffix(after[name], text+"\n") {
			t.Errorf("%s: %q, want %s", name, after[name], want)
		}
	}
	if len(after) != len(before)+2 { // a file and two directories more, a file less
		t.Errorf("%v", after)
	}
	if want := strings.TrimSuffix(before["/d/b"], "b\n"); !strings.HasPrefix(after["/d/c"], want) {
		t.Errorf("d/c: %q, want the time of d/b, %q", after["/d/c"], want)
	}
}

// Whichever step fails, all is as it was, times included.
func TestWriteTreeRollsBack(t *testing.T) {
	for n := range len(someChanges) + 1 {
		dir := smallTree(t)
		before := handmade.Snapshot(t, dir)
		root := judge.Value(os.OpenRoot(dir))(t)
		w := &treeWriter{root: root}
		for _, c := range someChanges {
			judge.Must(t, w.stageChange(c))
		}
		for _, c := range someChanges[:n] {
			judge.Must(t, w.commitChange(c))
		}
		judge.Must(t, w.rollback())
		root.Close()
		if diff := cmp.Diff(before, handmade.Snapshot(t, dir)); diff != "" {
			t.Errorf("after %d of %d steps (-want +got):\n%s", n, len(someChanges), diff)
		}
	}
}

func TestWriteTreeRefuses(t *testing.T) {
	outside := t.TempDir()
	for name, c := range map[string]Change{
		"changed meanwhile": {Path: "d/c", Before: []byte("other\n"), After: []byte("x")},
		"came meanwhile":    {Path: "d/c", After: []byte("x")},
		"gone meanwhile":    {Path: "d/x", Before: []byte("x"), After: []byte("x")},
		"above":             {Path: "../x", After: []byte("x")},
		"absolute":          {Path: "/x", After: []byte("x")},
		"a link outside":    {Path: "out/x", After: []byte("x")},
		"a file for a dir":  {Path: "a/x", After: []byte("x")},
		"a dir for a file":  {Path: "d", After: []byte("x")},
	} {
		dir := smallTree(t)
		judge.Must(t, os.Symlink(outside, filepath.Join(dir, "out")))
		before := handmade.Snapshot(t, dir)
		err := Write(dir, nil, someChanges[:2], []Change{c})
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", name, err)
		}
		if diff := cmp.Diff(before, handmade.Snapshot(t, dir)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if left := handmade.Snapshot(t, outside); len(left) != 1 {
			t.Errorf("%s: something came out: %v", name, left)
		}
	}
}

// What a state calls a directory is removed only if it is one, and empty.
func TestRemoveEmpty(t *testing.T) {
	dir := t.TempDir()
	root := judge.Value(os.OpenRoot(dir))(t)
	defer root.Close()
	if err := errors.Join(root.Mkdir("empty", 0o755), root.Mkdir("full", 0o755), root.WriteFile("full/file", nil, 0o644),
		root.Symlink("empty", "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"full", "full/file", "link", "none", "none/x"} {
		if err := removeEmpty(root, name); err == nil {
			t.Errorf("%s was removed", name)
		}
	}
	if err := removeEmpty(root, "empty"); err != nil {
		t.Error(err)
	}
}
