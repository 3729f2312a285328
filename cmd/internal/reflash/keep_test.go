package reflash

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestKeepArchive(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	dir := filepath.Join(state, "groundhog/archives")
	var last string
	for i := range mostKept + 3 {
		b := fmt.Appendf(nil, "archive %d", i)
		path, err := KeepArchive(bytes.NewReader(b), 64)
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
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		last = path
	}
	again, err := KeepArchive(bytes.NewReader(fmt.Appendf(nil, "archive %d", mostKept+2)), 64)
	if err != nil || again != last {
		t.Errorf("the same again: %s, %v, want %s", again, err, last)
	}
	if _, err := KeepArchive(bytes.NewReader(make([]byte, 65)), 64); err == nil {
		t.Error("more than the limit was kept")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != mostKept {
		t.Errorf("%d files, %v, want %d and nothing half-written", len(left), err, mostKept)
	}
}
