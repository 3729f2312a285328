package pack

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

const stranger = 12345

// sharedDir is a directory that everybody may write to, as /tmp is, and one beside it that nobody but us may.
func sharedDir(t *testing.T) (shared, precious string) {
	shared, precious = t.TempDir(), t.TempDir()
	judge.Must(t, errors.Join(os.Chmod(shared, 0o777|os.ModeSticky), os.WriteFile(filepath.Join(precious, "file"), []byte("precious"), 0o600)))
	return shared, precious
}

// untouched fails the test where there is anything else than was there in the beginning.
func untouched(t *testing.T, precious string) {
	t.Helper()
	all, err := os.ReadDir(precious)
	b, cause := os.ReadFile(filepath.Join(precious, "file"))
	if err != nil || cause != nil || len(all) != 1 || string(b) != "precious" {
		t.Errorf("%v, %q: %v", all, b, errors.Join(err, cause))
	}
}

// given is what a stranger has put there.
func given(err error, names ...string) error {
	for _, name := range names {
		err = errors.Join(err, os.Lchown(name, stranger, stranger))
	}
	return err
}

// A store that is a stranger's, or leads away, is refused by name before anything is packed; nothing is waited for.
func TestStoreOfOthers(t *testing.T) {
	for what, plant := range map[string]func(store, precious string) error{
		"a stranger's directory":    func(store, _ string) error { return given(os.Mkdir(store, 0o755), store) },
		"one that anybody writes":   func(store, _ string) error { return errors.Join(os.Mkdir(store, 0o700), os.Chmod(store, 0o777)) },
		"a group's":                 func(store, _ string) error { return errors.Join(os.Mkdir(store, 0o700), os.Chmod(store, 0o770)) },
		"a link":                    func(store, precious string) error { return os.Symlink(precious, store) },
		"a stranger's link":         func(store, precious string) error { return given(os.Symlink(precious, store), store) },
		"a link that leads nowhere": func(store, precious string) error { return os.Symlink(filepath.Join(precious, "new"), store) },
		"a FIFO":                    func(store, _ string) error { return unix.Mkfifo(store, 0o666) },
		"a file":                    func(store, _ string) error { return os.WriteFile(store, nil, 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			dir, precious := sharedDir(t)
			store := filepath.Join(dir, storeName)
			if err := plant(store, precious); errors.Is(err, os.ErrPermission) {
				judge.Missing(t, "root, who alone makes files of others")
			} else if err != nil {
				t.Fatal(err)
			}
			if _, _, err := Export(t.Context(), dir, "disk.img", image(8, 3), 1, func(int64) { t.Error("it packs") }); err == nil {
				t.Error("it is taken")
			}
			if _, err := At(store); err == nil {
				t.Error("it is believed")
			}
			untouched(t, precious)
		})
	}
}

// What others have put where the index of a store is to be is not written through, and not waited for.
func TestIndexOverOthers(t *testing.T) {
	for what, plant := range map[string]func(index, precious string) error{
		"a stranger's link": func(index, precious string) error {
			return given(os.Symlink(filepath.Join(precious, "file"), index), index)
		},
		"a stranger's FIFO": func(index, _ string) error { return given(unix.Mkfifo(index, 0o666), index) },
		"a stranger's file": func(index, _ string) error { return given(os.WriteFile(index, []byte("index"), 0o666), index) },
		"our own link":      func(index, precious string) error { return os.Symlink(filepath.Join(precious, "file"), index) },
	} {
		t.Run(what, func(t *testing.T) {
			dir, precious := sharedDir(t)
			index := filepath.Join(dir, "disk.img"+indexSuffix)
			if err := plant(index, precious); errors.Is(err, os.ErrPermission) {
				judge.Missing(t, "root, who alone makes files of others")
			} else if err != nil {
				t.Fatal(err)
			}
			img := image(9, 3)
			_, to, err := Export(t.Context(), dir, "disk.img", img, 1, func(int64) {})
			if err != nil || to != index {
				t.Fatal(to, err)
			}
			var st unix.Stat_t
			if err := unix.Lstat(index, &st); err != nil || st.Mode != unix.S_IFREG|0o600 || int(st.Uid) != os.Geteuid() {
				t.Errorf("mode %o, user %d: %v", st.Mode, st.Uid, err)
			}
			out := filepath.Join(t.TempDir(), "out.img")
			if said, err := exec.CommandContext(t.Context(), judge.Tool(t, "casync"), "extract", index, out).CombinedOutput(); err != nil {
				t.Errorf("casync: %v: %s", err, said)
			}
			untouched(t, precious)
		})
	}
}

// Whose directory a store is in can have something else take the store's name while it is written. What is written goes
// to the store, wherever that is by now.
func TestStoreIsMoved(t *testing.T) {
	dir, precious := sharedDir(t)
	name := filepath.Join(dir, storeName)
	s := at(t, name)
	judge.Must(t, errors.Join(os.Rename(name, name+".real"), os.Symlink(precious, name)))
	img := image(10, 9)
	k := judge.Value(Make(t.Context(), img, 1, s, func(int64) {}))(t)
	checkPlaces(t, img, k.From(s, img.Index()))
	untouched(t, precious)
	checkPlaces(t, img, k.From(at(t, name+".real"), img.Index()))
}

// What lies in a store by a name that is no group's is nobody's, and goes.
func TestPruneOddNames(t *testing.T) {
	c := cacheOf(t)
	keep(t, c, filepath.Join(t.TempDir(), "disk.img"), image(11, 9))
	for _, name := range []string{strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("0", 80), strings.Repeat("x", 64), ""} {
		judge.WriteFile(t, filepath.Join(c.storeDir(), name+groupSuffix), "")
	}
	judge.Must(t, c.pruneRecords(MaxKept, 0))
	left, err := filepath.Glob(filepath.Join(c.storeDir(), "*"+groupSuffix))
	if kept, cause := c.List(); err != nil || cause != nil || len(left) != 0 || len(kept) != 1 {
		t.Errorf("%q, %v, %v", left, kept, errors.Join(err, cause))
	}
	var id ID
	for _, bad := range []string{"", strings.Repeat("0", 62), strings.Repeat("0", 66), strings.Repeat("g", 64)} {
		if id.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is a hash", bad)
		}
	}
}
