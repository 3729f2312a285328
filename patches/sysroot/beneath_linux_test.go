package sysroot

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

// ways are the two by which a directory is looked into. Each answers alike.
func ways(t *testing.T, dir string) (fast, slow *hostDir) {
	t.Helper()
	for _, d := range []**hostDir{&fast, &slow} {
		h := judge.Value(openHostDir(dir))(t)
		t.Cleanup(func() { judge.Must(t, h.close()) })
		*d = h
	}
	if fast.fast == nil {
		judge.Missing(t, "openat2, which Linux has since 5.6")
	}
	judge.Must(t, slow.fast.close())
	slow.fast = nil
	return fast, slow
}

// answer is all that a directory says about a name.
func answer(t *testing.T, d *hostDir, name string) string {
	t.Helper()
	var said []string
	say := func(text string, err error) {
		if err != nil {
			text = "error"
			for _, known := range []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.EINVAL, errNotRegular} {
				if errors.Is(err, known) {
					text = known.Error()
				}
			}
		}
		said = append(said, text)
	}
	info, err := d.lstat(name)
	if err == nil {
		st := info.Sys().(*syscall.Stat_t)
		said = append(said, fs.FormatFileInfo(info), info.Mode().String(), info.ModTime().String())
		if st.Ino == 0 {
			t.Errorf("%s has no inode", name)
		}
	} else {
		say("", err)
	}
	say(d.readLink(name))
	f, err := d.open(name)
	if err == nil {
		var b []byte
		b, err = io.ReadAll(f)
		f.Close()
		say(string(b), err)
	} else {
		say("", err)
	}
	return strings.Join(said, " | ")
}

// One call and many say the same about all that may be in a tree, deeper than a path may be long, too.
func TestBeneath(t *testing.T) {
	dir := writeTree(t, t.TempDir(), map[string]string{
		"file": "text", "dir/x": "y", "empty": "/", "link": "-> file", "gone": "-> nowhere", "up": "-> ../../etc/passwd", "caf\xe9/l\xff": "z",
	})
	judge.Must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	judge.Must(t, os.Chmod(filepath.Join(dir, "file"), 0o4755))
	judge.Must(t, os.Symlink(strings.Repeat("long/", 800), filepath.Join(dir, "far")))
	deep := strings.Repeat(strings.Repeat("d", 250)+"/", 20) + "end" // longer than PATH_MAX: made step by step
	root := judge.Value(os.OpenRoot(dir))(t)
	defer root.Close()
	judge.Must(t, root.MkdirAll(filepath.Dir(deep), 0o755))
	judge.Must(t, root.WriteFile(deep, []byte("deep"), 0o644))
	fast, slow := ways(t, dir)
	for _, name := range []string{".", "file", "file/x", "dir", "dir/x", "dir/none", "none", "none/x", "empty", "link", "gone", "up", "far", "caf\xe9/l\xff", "pipe",
		deep, filepath.Dir(deep), deep + "x", strings.Repeat("n", 300)} {
		got, want := answer(t, fast, name), answer(t, slow, name)
		if name == "link" || name == "up" || name == "gone" || name == "far" {
			// os.Root would follow the link; the tree asks for names without any, and one that came to be since is refused.
			got, want = got[:strings.LastIndex(got, " | ")], want[:strings.LastIndex(want, " | ")]
			if f, err := fast.open(name); err == nil {
				f.Close()
				t.Errorf("%s was followed", name)
			}
		}
		if got != want {
			t.Errorf("%.40s:\n%.300s\nwant\n%.300s", name, got, want)
		}
	}
}

// A directory that became a link out of the tree, after it was looked at, leads nowhere.
func TestBeneathSwapped(t *testing.T) {
	outside := writeTree(t, t.TempDir(), map[string]string{"secret": "secret"})
	dir := writeTree(t, t.TempDir(), map[string]string{"a/secret": "mine"})
	tree := open(t, Dir(dir))
	if b, err := tree.ReadFile("a/secret"); string(b) != "mine" || err != nil {
		t.Fatal(string(b), err)
	}
	judge.Must(t, os.RemoveAll(filepath.Join(dir, "a")))
	for _, to := range []string{outside, "../" + filepath.Base(outside)} {
		judge.Must(t, os.Symlink(to, filepath.Join(dir, "a")))
		if b, err := tree.ReadFile("a/secret"); err == nil {
			t.Errorf("%q of %s", b, to)
		}
		if _, err := tree.Lstat("a/secret"); err == nil {
			t.Errorf("%s was looked at", to)
		}
		judge.Must(t, os.Remove(filepath.Join(dir, "a")))
	}
}

// Of what a build host has in its own root both say the same, too: devices, what is sticky, what is of a group.
func TestBeneathHost(t *testing.T) {
	fast, slow := ways(t, "/")
	for _, name := range []string{"dev/null", "dev/tty", "tmp", "var/mail", "proc/self"} {
		got, err := fast.lstat(name)
		want, bad := slow.lstat(name)
		if (err == nil) != (bad == nil) || err == nil && (got.Mode() != want.Mode() || got.Name() != want.Name() || got.IsDir() != want.IsDir()) {
			t.Errorf("%s: %v, %v; want %v, %v", name, got, err, want, bad)
		}
	}
}

// What was looked at is opened as it was found: a link is not followed, nor what came in the place of a file.
func TestLookAt(t *testing.T) {
	dir := writeTree(t, t.TempDir(), map[string]string{"usr/lib/file": "text", "lib": "-> usr/lib", "link": "-> usr/lib/file"})
	tree := open(t, Dir(dir))
	info, openFile, err := tree.LookAt("lib/file")
	if err != nil || info.Size() != 4 || !info.Mode().IsRegular() {
		t.Fatal(info, err)
	}
	f, err := openFile()
	judge.Must(t, err)
	if b, err := io.ReadAll(f); string(b) != "text" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	judge.Must(t, f.Close())
	if f.Close() == nil {
		t.Error("it was closed twice")
	}
	judge.Must(t, os.Remove(filepath.Join(dir, "usr/lib/file")))
	judge.Must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "usr/lib/file")))
	if f, err := openFile(); err == nil {
		t.Errorf("%v was opened", f)
	}
	info, openLink, err := tree.LookAt("link")
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Fatal(info, err)
	}
	if _, err := openLink(); !errors.Is(err, errNotRegular) {
		t.Errorf("a link: %v", err)
	}
	if _, _, err := tree.LookAt("lib/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
