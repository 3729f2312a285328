package sysroot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
)

func TestResolve(t *testing.T) {
	fsys := fstest.MapFS{
		"usr/lib/x/real.so.1.2": file([]byte("x")),
		"usr/lib/x/real.so.1":   link("real.so.1.2"),
		"lib":                   link("usr/lib"),
		"abs":                   link("/lib/x"),
		"up":                    link("../../../../usr/lib"),
		"usr/back":              link("../usr/./back2//"),
		"usr/back2":             link(".."),
		"loop":                  link("loop2"),
		"loop2":                 link("/loop"),
		"dangling":              link("usr/nothing/here"),
		"self":                  link("."),
		"slash":                 link("usr/lib/x/real.so.1/"),
	}
	for name, want := range map[string]string{
		".":                   ".",
		"usr/lib/x/real.so.1": "usr/lib/x/real.so.1.2",
		"lib/x/real.so.1":     "usr/lib/x/real.so.1.2",
		"abs/real.so.1":       "usr/lib/x/real.so.1.2",
		"up/x":                "usr/lib/x",
		"usr/back/lib/x":      "usr/lib/x",
		"self/self/self/abs":  "usr/lib/x",
	} {
		got, err := Resolve(fsys, name)
		if got != want || err != nil {
			t.Errorf("Resolve(%s) = %q, %v, want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]error{
		"loop": syscall.ELOOP, "dangling": fs.ErrNotExist, "nothing": fs.ErrNotExist, "/lib": fs.ErrInvalid,
		"../x": fs.ErrInvalid, "abs/real.so.1/x": syscall.ENOTDIR, "slash": syscall.ENOTDIR,
		strings.Repeat("self/", 41) + "usr": syscall.ELOOP,
	} {
		if got, err := Resolve(fsys, name); !errors.Is(err, want) {
			t.Errorf("Resolve(%s) = %q, %v, want %v", name, got, err, want)
		}
	}
}

// What EvalSymlinks says of a tree at the host's own root, Resolve says of it as a
// tree; only links that do not leave it can be compared so.
func TestResolveAsHost(t *testing.T) {
	dir := writeTree(t, t.TempDir(), map[string]string{
		"usr/lib/a/file": "x", "lib": "-> usr/lib", "usr/lib/b": "-> a/../a/.", "etc/c": "-> ../lib/b/file",
	})
	tree := open(t, Dir(dir))
	for _, name := range []string{"lib/a/file", "lib/b/file", "etc/c", "usr/lib/b"} {
		want := judge.Value(filepath.EvalSymlinks(filepath.Join(dir, name)))(t)
		got := judge.Value(Resolve(tree, name))(t)
		if base, _ := filepath.EvalSymlinks(dir); filepath.Join(base, got) != want {
			t.Errorf("Resolve(%s) = %s, the host says %s", name, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	unmerged := fstest.MapFS{"lib/x86/a.so": file(nil), "usr/bin/tool": file(nil), "usr/share/y": file(nil)}
	for names, want := range map[string]string{
		"usr/lib/x86/a.so": "lib/x86/a.so", "bin/tool": "usr/bin/tool", "usr/bin/tool": "usr/bin/tool",
		"nothing bin/tool": "usr/bin/tool", "usr/share/y": "usr/share/y",
	} {
		if got, err := Find(unmerged, strings.Fields(names)...); got != want || err != nil {
			t.Errorf("Find(%s) = %q, %v, want %q", names, got, err, want)
		}
	}
	if _, err := Find(unmerged, "share/y"); err == nil || err.Error() != "share/y: not found" {
		t.Errorf("a name without a twin was found, or: %v", err)
	}
	dir := writeTree(t, t.TempDir(), map[string]string{"usr/bin/x": "x", "etc/link": "-> /usr/none"})
	tree := open(t, Dir(dir))
	_, err := Find(tree, "usr/bin/curl")
	if nf := (*NotFound)(nil); !errors.As(err, &nf) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no NotFound: %v", err)
	}
	if want := "usr/bin/curl: not found in " + dir; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	_, err = tree.Open("etc/link")
	if want := "etc/link: leads to usr/none, not found in " + dir; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// A tree of links must never show the host's files.
func TestHostIsOutOfReach(t *testing.T) {
	host := t.TempDir()
	canary := filepath.Join(host, "secret")
	judge.Must(t, os.WriteFile(canary, []byte("the host's"), 0o644))
	rel := "../" + filepath.Base(host) + "/secret"
	dir := writeTree(t, filepath.Join(filepath.Dir(host), "root"), map[string]string{
		"abs": "-> " + canary, "rel": "-> " + rel, "far": "-> ../../../../../../../.." + canary,
		"etc": "-> " + host, "relDir": "-> ../" + filepath.Base(host), "passwd": "-> /etc/passwd",
		"usr/deep": "-> ../../" + filepath.Base(host) + "/secret",
	})
	if b, err := os.ReadFile(filepath.Join(dir, "rel")); err != nil || string(b) != "the host's" {
		t.Fatalf("the canary cannot be reached from outside either: %v", err)
	}
	tree := open(t, Dir(dir))
	for _, name := range []string{"abs", "rel", "far", "etc/secret", "relDir/secret", "passwd", "usr/deep"} {
		if b, err := fs.ReadFile(tree, name); err == nil {
			t.Errorf("%s reads %q", name, b)
		}
		if _, err := tree.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want a file that is not there", name, err)
		}
	}
	if _, err := tree.ReadDir("etc"); err == nil {
		t.Error("etc lists a host directory")
	}
}

// FuzzResolve: the result stays in the tree, has no links, and is its own result.
func FuzzResolve(f *testing.F) {
	f.Add("a/b/c", "/b", "../../x", "a/./..//b")
	f.Add("l1/l2", "l2", "/l1", "..")
	f.Add("l1/l2/l3", "/l3/..", "../l3", "d/f")
	f.Fuzz(func(t *testing.T, name, one, two, three string) {
		fsys := fstest.MapFS{
			"l1": link(one), "d/l2": link(two), "l3": link(three), "l2": link("d/l2"), "d/e/f": file(nil), "d/l1": link("/l1"),
		}
		got, err := Resolve(fsys, name)
		if err != nil {
			return
		}
		if !fs.ValidPath(got) {
			t.Fatalf("Resolve(%q) = %q leads out", name, got)
		}
		if fi, err := fsys.Lstat(got); err != nil || fi.Mode().Type() == fs.ModeSymlink {
			t.Fatalf("Resolve(%q) = %q: %v", name, got, err)
		}
		if again, err := Resolve(fsys, got); again != got || err != nil {
			t.Fatalf("resolving %q again gives %q, %v", got, again, err)
		}
	})
}
