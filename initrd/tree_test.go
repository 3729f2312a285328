package initrd

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// The tree is the one of init/initramfs.c, in the cases where it surprises.
func TestUnpack(t *testing.T) {
	body := dir("d")
	body.Data = []byte("a directory with a body")
	nul := symlink("l", "d\x00")
	for name, c := range map[string]struct {
		segments [][]Entry
		want     string // names in the tree
		ignored  string
	}{
		"no directory":           {[][]Entry{{file("a/b", "")}}, "", "a/b"},
		"a directory too late":   {[][]Entry{{file("a/b", ""), dir("a")}}, "a", "a/b"},
		"through a file":         {[][]Entry{{file("a", ""), file("a/b", "")}}, "a", "a/b"},
		"through a dead link":    {[][]Entry{{symlink("l", "x"), file("l/b", "")}}, "l", "l/b"},
		"from another segment":   {[][]Entry{{dir("a")}, {file("a/b", "")}}, "a a/b", ""},
		"a directory for a file": {[][]Entry{{file("a", "")}, {dir("a"), file("a/b", "")}}, "a a/b", ""},
		"a file for a directory": {[][]Entry{{dir("a")}, {file("a", "")}}, "a", ""},
		"the same, not empty":    {[][]Entry{{dir("a"), file("a/b", "")}, {file("a", ""), symlink("a", "x")}}, "a a/b", "a a"},
		"a body on a directory":  {[][]Entry{{body, file("d/f", "")}}, "", "d d/f"},
		"no file type":           {[][]Entry{{{Name: "n", Mode: 0o644, Nlink: 1}}}, "", "n"},
		"a NUL ends a target":    {[][]Entry{{dir("d"), nul, file("l/f", "")}}, "d d/f l", ""},
		"a link turned around": {[][]Entry{{dir("a"), dir("b"), symlink("l", "a"), file("l/x", "")},
			{symlink("l", "b"), file("l/y", "")}}, "a a/x b b/y l", ""},
		"names that are not clean": {[][]Entry{{dir("./a/"), file(".//a/./b", "")}}, "a a/b", ""},
		"a link above the root":    {[][]Entry{{symlink("up", "../.."), symlink("top", "/.."), file("f", "")}}, "f top up", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var b []byte
			for _, s := range c.segments {
				b = append(b, run(s...)...)
			}
			img := read(t, b)
			var got, ignored []string
			for name := range img.Tree() {
				got = append(got, name)
			}
			for _, e := range img.Ignored() {
				ignored = append(ignored, e.Name)
			}
			if diff := cmp.Diff(c.want+" | "+c.ignored, strings.Join(got, " ")+" | "+strings.Join(ignored, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Hard links reach as far as the kernel's table of them: to the trailer.
func TestLinkGroups(t *testing.T) {
	img := read(t, pack(t, Gzip, join(run(hardlink(1, 2, "a", ""), hardlink(1, 2, "b", "one")),
		run(hardlink(1, 2, "c", "two"), hardlink(1, 2, "d", "")))))
	for name, want := range map[string]string{"a": "one", "b": "one", "c": "two", "d": "two"} {
		if got, err := img.ReadFile(name); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	a, b, c := img.Lookup("a").LinkID(), img.Lookup("b").LinkID(), img.Lookup("c").LinkID()
	if a == nil || a != b || a == c {
		t.Errorf("link groups: %v %v %v", a, b, c)
	}
}

func TestLookup(t *testing.T) {
	img := read(t, run(append(usr(), symlink("loop", "loop"), symlink("up", "../../init"))...))
	for name, want := range map[string]string{"/sbin/zz": "usr/bin/zz", "bin": "bin", "up": "up", "loop/x": "",
		"no/such": "", "init/x": "", "../../init": "init"} {
		e := img.Lookup(name)
		if e == nil && want != "" || e != nil && e.Name != want {
			t.Errorf("%q: %v", name, e)
		}
	}
	if b, err := img.ReadFile("up"); string(b) != "#!/bin/sh\n" || err != nil {
		t.Errorf("the kernel stops at the root: %q, %v", b, err)
	}
	for name, want := range map[string]error{"no": fs.ErrNotExist, "usr": fs.ErrInvalid, "loop": fs.ErrNotExist} {
		if _, err := img.ReadFile(name); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, e := range []Entry{file("/abs", ""), file("../out", ""), file("TRAILER!!!", ""), file("", "")} {
		if _, err := New(None, e); err == nil {
			t.Errorf("%q: made", e.Name)
		}
	}
	img := judge.Value(New(Zstd, dir("."), file("f", "data")))(t)
	if b := unpack(t, Zstd, write(t, img)); !bytes.Equal(b, run(dir("."), file("f", "data"))) {
		t.Error("New made something else")
	}
}
