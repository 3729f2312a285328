package reflash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

func TestKeepArchive(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	dir := filepath.Join(state, "groundhog/archives")
	var last string
	for i := range mostKept + 3 {
		b := fmt.Appendf(nil, "archive %d", i)
		path, settle, err := KeepArchive(bytes.NewReader(b), 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%q, %v", got, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v: it may carry private keys", info.Mode(), err)
		}
		when := time.Now().Add(time.Duration(i-100) * time.Hour)
		judge.Must(t, os.Chtimes(path, when, when))
		judge.Must(t, settle(nil))
		last = path
	}
	again, settle, err := KeepArchive(bytes.NewReader(fmt.Appendf(nil, "archive %d", mostKept+2)), 64)
	if err != nil || again != last {
		t.Errorf("the same again: %s, %v, want %s", again, err, last)
	}
	none := errors.New("no archive")
	if err := settle(none); !errors.Is(err, none) {
		t.Error(err)
	}
	if _, err := os.Stat(last); err != nil {
		t.Errorf("what was kept before: %v", err)
	}
	if path, settle, err := KeepArchive(strings.NewReader("a text"), 64); err != nil || settle(fmt.Errorf("%s: %w", path, none)).Error() != "standard input: no archive" {
		t.Errorf("what is no archive: %s, %v", path, err)
	}
	if _, _, err := KeepArchive(bytes.NewReader(make([]byte, 65)), 64); err == nil {
		t.Error("more than the limit was kept")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != mostKept {
		t.Errorf("%d files, %v, want %d and nothing half-written", len(left), err, mostKept)
	}
}

// Kept archives go to devices: they are kept where nobody else may write, or not at all.
func TestKeepArchiveBesideOthers(t *testing.T) {
	const stranger = 12345
	for what, plant := range map[string]func(dir, elsewhere string) error{
		"a stranger's directory": func(dir, _ string) error { return errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, stranger, stranger)) },
		"one that anybody writes": func(dir, _ string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777|os.ModeSticky))
		},
		"a link": func(dir, elsewhere string) error { return os.Symlink(elsewhere, dir) },
		"a FIFO": func(dir, _ string) error { return unix.Mkfifo(dir, 0o666) },
	} {
		t.Run(what, func(t *testing.T) {
			state, elsewhere := t.TempDir(), t.TempDir()
			t.Setenv("XDG_STATE_HOME", state)
			dir := filepath.Join(state, "groundhog", archivesDir)
			err := os.Mkdir(filepath.Dir(dir), 0o700)
			if err == nil {
				err = plant(dir, elsewhere)
			}
			if errors.Is(err, os.ErrPermission) {
				judge.Missing(t, "root, who alone makes files of others")
			} else if err != nil {
				t.Fatal(err)
			}
			if path, _, err := KeepArchive(strings.NewReader("archive"), 64); err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s, %v", path, err)
			}
			if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
				t.Errorf("%v, %v", left, err)
			}
		})
	}
}
