package sidefile

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

// What is no regular file is refused by its kind, and nothing is waited for.
func TestOpenKinds(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(at("file"), []byte("text"), 0o600))
	must(os.Symlink("file", at("link")))
	must(unix.Mkfifo(at("fifo"), 0o600))
	must(os.Symlink("fifo", at("to a fifo")))
	l, err := net.Listen("unix", at("socket"))
	must(err)
	defer l.Close()
	for name, want := range map[string]struct{ open, here string }{
		"file":      {"", ""},
		"link":      {"", "a symbolic link"},
		"fifo":      {"a FIFO", "a FIFO"},
		"to a fifo": {"a FIFO", "a symbolic link"},
		"socket":    {"no such device or address", "no such device or address"},
		".":         {"a directory", "a directory"},
		"/dev/zero": {"a device", "a device"},
		"nothing":   {"no such file", "no such file"},
	} {
		if !filepath.IsAbs(name) {
			name = at(name)
		}
		for about, c := range map[string]struct {
			open func(string) (*os.File, error)
			want string
		}{"Open": {Open, want.open}, "OpenHere": {OpenHere, want.here}} {
			done := make(chan error, 1)
			go func() {
				f, err := c.open(name)
				if f != nil {
					f.Close()
				}
				done <- err
			}()
			select {
			case err := <-done:
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s(%s): %v, want %q", about, name, err, c.want)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%s(%s) waits", about, name)
			}
		}
	}
}

func TestBelieve(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	judge.WriteFile(t, name, "text")
	for mode, want := range map[os.FileMode][2]bool{0o600: {true, true}, 0o644: {true, true}, 0o664: {false, true}, 0o666: {false, false}, 0o602: {false, false}} {
		judge.Must(t, os.Chmod(name, mode))
		for i, mask := range []os.FileMode{Nobody, Group} {
			b, err := Read(name, mask, 4)
			if (err == nil) != want[i] || err != nil && !errors.Is(err, ErrStranger) || err == nil && string(b) != "text" {
				t.Errorf("mode %o, mask %o: %q, %v", mode, mask, b, err)
			}
		}
	}
	judge.Must(t, os.Chmod(name, 0o600))
	if _, err := Read(name, Nobody, 3); err == nil {
		t.Error("more than asked for was read")
	}
	if os.Geteuid() != 0 {
		return // whose a file is only root can change
	}
	link := filepath.Join(dir, "link")
	for about, c := range map[string]struct {
		file, link int
		sudo       string
		ok         bool
	}{
		"root's":                        {0, 0, "", true},
		"a stranger's":                  {1234, 0, "", false},
		"root's by a stranger's link":   {0, 1234, "", false},
		"the caller's, under sudo":      {1234, 1234, "1234", true},
		"another's, under sudo":         {1234, 0, "1235", false},
		"a stranger's, with odd values": {1234, 0, "0x4d2", false},
	} {
		t.Setenv("SUDO_UID", c.sudo)
		os.Remove(link)
		judge.Must(t, errors.Join(os.Symlink("file", link), os.Chown(name, c.file, 0), os.Lchown(link, c.link, 0)))
		if _, err := Read(link, Nobody, 100); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrStranger) {
			t.Errorf("%s: %v", about, err)
		}
	}
}
