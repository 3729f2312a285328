package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/patches"
)

// treeOf is all that is below dir: its mode, and of files the time and the
// content, a hash of it where it is long.
func treeOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		all[strings.TrimPrefix(at, dir)], err = describeFile(at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func describeFile(at string) (string, error) {
	info, err := os.Lstat(at)
	if err != nil {
		return "", err
	}
	mode := info.Mode().String()
	switch {
	case info.Mode().IsRegular():
		b, err := os.ReadFile(at)
		if len(b) > 1<<12 {
			b = fmt.Appendf(nil, "%x", sha256.Sum256(b))
		}
		return mode + info.ModTime().String() + string(b), err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(at)
		return mode + target, err
	}
	return mode, nil
}

func smallTree(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "a\n", "d/b": "b\n", "d/c": "c\n"} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var someChanges = []patches.FileChange{
	{Path: "new/er/n", After: []byte("n\n"), Mode: 0o600},
	{Path: "a", Before: []byte("a\n"), After: []byte("A\n"), Mode: 0o755},
	{Path: "d/b", Before: []byte("b\n")},
	{Path: "d/c", Before: []byte("c\n"), After: []byte("C\n"), Mode: 0o640, Like: "d/b"},
}

func TestWriteTree(t *testing.T) {
	dir := smallTree(t)
	before := treeOf(t, dir)
	if err := writeTree(dir, nil, someChanges); err != nil {
		t.Fatal(err)
	}
	after := treeOf(t, dir)
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
		before := treeOf(t, dir)
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		w := &treeWriter{root: root}
		for _, c := range someChanges {
			if err := w.stage(c); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range someChanges[:n] {
			if err := w.commit(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.rollback(); err != nil {
			t.Fatal(err)
		}
		root.Close()
		if diff := cmp.Diff(before, treeOf(t, dir)); diff != "" {
			t.Errorf("after %d of %d steps (-want +got):\n%s", n, len(someChanges), diff)
		}
	}
}

func TestWriteTreeRefuses(t *testing.T) {
	outside := t.TempDir()
	for name, c := range map[string]patches.FileChange{
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
		if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
			t.Fatal(err)
		}
		before := treeOf(t, dir)
		err := writeTree(dir, nil, someChanges[:2], []patches.FileChange{c})
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", name, err)
		}
		if diff := cmp.Diff(before, treeOf(t, dir)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if left := treeOf(t, outside); len(left) != 1 {
			t.Errorf("%s: something came out: %v", name, left)
		}
	}
}

// What a state calls a directory is removed only if it is one, and empty.
func TestRemoveEmpty(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
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
