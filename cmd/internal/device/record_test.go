package device

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
)

func sample(target string) *Record {
	return &Record{Schema: recordSchema, Target: target, User: "root", Host: "192.0.2.7", Port: "22", HostName: "bench", Interface: "eth0",
		MAC: "02:00:00:00:00:01", Address: "192.0.2.7/24", BootID: boot1, HostKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIObyvqpcIlzI/8Jxhl740lHpcSKwFJlVXljySWND2qiY"},
		Disk:    disk.Identity{Path: "/dev/vda", Size: 8 << 30, Model: "m", Serial: "s", CID: "c", PTUUID: "p"},
		Archive: Pushed{Path: "/a/b.img", SHA256: strings.Repeat("0", 64), Sent: "11", Build: "x"}}
}

// A record reads back as it was written, whoever logs in to the device, and nobody else reads it.
func TestRecord(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	if _, err := ReadRecord("bench"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is known: %v", err)
	}
	want := sample("root@Bench:22")
	path, err := want.Save()
	if err != nil || path != state+"/groundhog/devices/bench.json" {
		t.Fatalf("%s, %v", path, err)
	}
	for _, same := range []string{"bench", "BENCH", "you@bench", "bench:22"} {
		got, err := ReadRecord(same)
		if err != nil {
			t.Errorf("%s: %v", same, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", same, diff)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	want.Archive.Build = strings.Repeat("y", 100)
	judge.Value(want.Save())(t)
	if got, err := ReadRecord("bench"); err != nil || got.Archive.Build != want.Archive.Build {
		t.Errorf("saved again: %+v, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
}

// Different devices have different files, all of them in the one directory.
func TestRecordNames(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	seen := map[string]string{}
	for _, target := range []string{"a", "a:2222", "b", "[::1]:2222", "::1:2222", "::1", "fe80::1%eth0", "fe80::1_eth0", "a.b", strings.Repeat("x", 200)} {
		path, err := sample(target).Save()
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if filepath.Dir(path) != state+"/groundhog/devices" || seen[path] != "" {
			t.Errorf("%s: %s, which is also %q", target, path, seen[path])
		}
		seen[path] = target
	}
	for _, target := range []string{"..", "../x", ".", "a/b", "", strings.Repeat("x", 300), "a\x00b"} {
		if path, err := sample(target).Save(); err == nil {
			t.Errorf("%q: %s", target, path)
		}
	}
}

func TestRecordPath(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	for state, want := range map[string]string{"": "/home/me/.local/state", "relative": "/home/me/.local/state", "/state": "/state"} {
		t.Setenv("XDG_STATE_HOME", state)
		if got, err := recordPath("a"); err != nil || got != want+"/groundhog/devices/a.json" {
			t.Errorf("%q: %s, %v", state, got, err)
		}
	}
}

// A file that is no record is refused, with what to do.
func TestRecordDamaged(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	path := judge.Value(sample("a").Save())(t)
	good := judge.ReadFile(t, path)
	for about, text := range map[string]string{
		"empty": "", "cut": string(good[:len(good)/2]), "another schema": strings.Replace(string(good), `"schema": 1`, `"schema": 2`, 1),
		"a disk that cannot be": strings.Replace(string(good), `"size": 8589934592`, `"size": -512`, 1), "a path that is no disk": strings.Replace(string(good), "/dev/vda", "/dev/../etc", 1),
		"a host that is an option": strings.Replace(string(good), `"192.0.2.7"`, `"-oProxyCommand=x"`, 1), "no boot id": strings.Replace(string(good), boot1, "x", 1),
		"a key that is none": strings.Replace(string(good), "ssh-ed25519 A", "ssh-ed25519 B", 1),
		"no schema":          "{}", "not JSON": "hello", "huge": string(good) + strings.Repeat(" ", maxRecord), "two": string(good) + string(good),
	} {
		write(t, path, text)
		if r, err := ReadRecord("a"); err == nil || hint.Of(err) == "" {
			t.Errorf("%s: %+v, %v (%s)", about, r, err, hint.Of(err))
		}
	}
	write(t, path, string(good))
	for about, spoil := range map[string]func() error{
		"others can write to it": func() error { return os.Chmod(path, 0o602) },
		"a symbolic link":        func() error { return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path)) },
		"a FIFO":                 func() error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) },
	} {
		os.Remove(path)
		write(t, path, string(good))
		judge.Must(t, spoil())
		if r, err := ReadRecord("a"); err == nil {
			t.Errorf("%s: %+v", about, r)
		}
	}
	blocked := t.TempDir() + "/file"
	write(t, blocked, "")
	t.Setenv("XDG_STATE_HOME", blocked)
	if _, err := sample("a").Save(); err == nil {
		t.Error("saved below a file")
	}
}

// Whether a record can be written is known before: where its directory is not there yet, too.
func TestCheckKept(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	judge.WriteFile(t, file, "")
	for home, want := range map[string]bool{dir: true, filepath.Join(dir, "not/yet"): true, file: false, filepath.Join(file, "below"): false, "/proc/self": false} {
		t.Setenv("XDG_STATE_HOME", home)
		if err := CheckKept("root@bench-1"); (err == nil) != want {
			t.Errorf("%s: %v", home, err)
		}
		_, err := (&Record{Target: "root@bench-1", User: "root", Host: "bench-1", Port: "22", BootID: "461063a3-5c46-448c-84ca-e9bce42d5bf2"}).Save()
		if (err == nil) != want {
			t.Errorf("%s: written: %v", home, err)
		}
	}
}
