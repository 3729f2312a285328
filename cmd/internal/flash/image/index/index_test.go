package index

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"

	"groundhog/fixtures/judge"
)

var sum64 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// sample is an index of four chunks, one of zeros and one that is short.
func sample(file File) *Index {
	return &Index{File: file, Stored: sum64, Chunks: []chunk.Chunk{
		chunk.Of(0, bytes.Repeat([]byte{1}, chunk.Size)), {N: 1, Len: chunk.Size, Zero: true},
		chunk.Of(2, bytes.Repeat([]byte{2}, chunk.Size)), chunk.Of(3, []byte("short"))}}
}

// What is kept is read again as it was; what was changed by a bit or a byte, or sealed with another key, is not.
func TestCodec(t *testing.T) {
	key, other := bytes.Repeat([]byte{7}, keyLen), bytes.Repeat([]byte{8}, keyLen)
	x := sample(File{1, 2, 3, 4, 5})
	b := x.encodeSealed(key)
	if got := parseIndex(b, key); !reflect.DeepEqual(got, x) {
		t.Fatalf("%+v, want %+v", got, x)
	}
	if parseIndex(b, other) != nil {
		t.Error("an index of another key is read")
	}
	for n := range b {
		if parseIndex(b[:n], key) != nil {
			t.Fatalf("an index of %d bytes is read", n)
		}
		bad := bytes.Clone(b)
		bad[n] ^= 0x10
		if parseIndex(bad, key) != nil {
			t.Fatalf("an index with a changed byte %d is read", n)
		}
	}
	for name, change := range map[string]func(*Index){
		"chunks of another size": func(x *Index) { x.Chunk = 4096 },
		"nothing":                func(x *Index) { x.Chunks = nil },
		"no sum":                 func(x *Index) { x.Stored = sum64[1:] },
	} {
		x := sample(File{})
		change(x)
		b := x.encodeSealed(key)
		if name == "chunks of another size" { // encodeSealed knows better
			b = bytes.Replace(b[:len(b)-32], []byte(`"chunk":1048576`), []byte(`"chunk":4096`), 1)
			b = append(b, sealOf(key, b)...)
		}
		if parseIndex(b, key) != nil {
			t.Errorf("%s: read", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	key := make([]byte, keyLen)
	b := sample(File{}).encodeSealed(key)
	f.Add(b[:len(b)-32])
	f.Fuzz(func(t *testing.T, b []byte) {
		x := parseIndex(append(bytes.Clone(b), sealOf(key, b)...), key)
		if x == nil {
			return
		}
		if chunk.End(x.Chunks) != x.Size || x.Size <= 0 {
			t.Errorf("%d bytes in chunks, %d in all", chunk.End(x.Chunks), x.Size)
		}
		if again := parseIndex(x.encodeSealed(key), key); !reflect.DeepEqual(again, x) {
			t.Errorf("%+v was %+v", again, x)
		}
	})
}

// file is an image's file and its state.
func file(t *testing.T) (string, File) {
	name := filepath.Join(t.TempDir(), "image")
	judge.WriteFile(t, name, "image")
	f := judge.Value(os.Open(name))(t)
	defer f.Close()
	state, ok := FileOf(f)
	if !ok {
		t.Fatal("no file")
	}
	return name, state
}

// storeAt is the store in a directory, nil where there can be none.
func storeAt(dir string) *Store {
	s, _ := OpenAt(dir)
	return s
}

// Of an index there is a whole one or none, and it is for the file's state and its name alone.
func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "groundhog")
	name, state := file(t)
	s := storeAt(dir)
	if s.Get(name, state) != nil {
		t.Error("an index of nothing")
	}
	s.Put(name, sample(state))
	if storeAt(dir).Get(name, state) == nil {
		t.Error("it is not kept")
	}
	changed := state
	changed.Ctime++
	if s.Get(name, changed) != nil {
		t.Error("it counts for another state of the file")
	}
	link := filepath.Join(t.TempDir(), "link")
	judge.Must(t, os.Symlink(name, link))
	if s.Get(link, state) == nil {
		t.Error("by another way there it is not found")
	}
	if info, err := os.Stat(filepath.Join(dir, "key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	var none *Store
	none.Put(name, sample(state))
	if none.Get(name, state) != nil {
		t.Error("no store has something")
	}
}

// A store that others may have written to is none; neither is one whose key, or an index that, is not what we put there.
func TestStoreOfOthers(t *testing.T) {
	name, state := file(t)
	chown := func(name string) error {
		if os.Geteuid() != 0 {
			return os.ErrPermission
		}
		return os.Lchown(name, 12345, 12345)
	}
	replace := func(with func(string) error) func(string) error {
		return func(name string) error { return errorsOf(os.Remove(name), with(name)) }
	}
	for what, spoil := range map[string]func(dir, key, entry string) error{
		"a directory that anybody writes to": func(dir, _, _ string) error { return os.Chmod(dir, 0o777) },
		"a group's directory":                func(dir, _, _ string) error { return os.Chmod(dir, 0o770) },
		"another user's directory":           func(dir, _, _ string) error { return chown(dir) },
		"a link to a directory": func(dir, _, _ string) error {
			return errorsOf(os.Rename(dir, dir+".real"), os.Symlink(dir+".real", dir))
		},
		"a key that anybody writes": func(_, key, _ string) error { return os.Chmod(key, 0o666) },
		"a short key":               func(_, key, _ string) error { return os.WriteFile(key, []byte("key"), 0o600) },
		"a long key":                func(_, key, _ string) error { return os.WriteFile(key, make([]byte, 100), 0o600) },
		"another key":               func(_, key, _ string) error { return os.WriteFile(key, make([]byte, keyLen), 0o600) },
		"another user's key":        func(_, key, _ string) error { return chown(key) },
		"a pipe for a key":          func(_, key, _ string) error { return replace(fifo)(key) },
		"a link for a key": func(_, key, _ string) error {
			return errorsOf(os.Rename(key, key+".real"), os.Symlink(key+".real", key))
		},
		"a directory for a key":      func(_, key, _ string) error { return replace(func(n string) error { return os.Mkdir(n, 0o700) })(key) },
		"another user's index":       func(_, _, entry string) error { return chown(entry) },
		"an index that others write": func(_, _, entry string) error { return os.Chmod(entry, 0o622) },
		"a pipe for an index":        func(_, _, entry string) error { return replace(fifo)(entry) },
		"a link for an index": func(_, _, entry string) error {
			return errorsOf(os.Rename(entry, entry+".real"), os.Symlink(entry+".real", entry))
		},
		"an index that is not sealed": func(_, _, entry string) error { return forge(entry, state) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "groundhog")
			s := storeAt(dir)
			s.Put(name, sample(state))
			entry, err := s.pathFor(name, indexSuffix)
			if err != nil || s.Get(name, state) == nil {
				t.Fatalf("nothing is kept: %v", err)
			}
			if err := spoil(dir, filepath.Join(dir, "key"), entry); os.IsPermission(err) {
				judge.Missing(t, "root, who alone makes files of others")
			} else if err != nil {
				t.Fatal(err)
			}
			if storeAt(dir).Get(name, state) != nil {
				t.Error("it is believed")
			}
			storeAt(dir).Put(name, sample(state)) // must not hang or follow anything
		})
	}
}

func errorsOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func fifo(name string) error { return unix.Mkfifo(name, 0o600) }

// forge is what somebody can write who does not know the key.
func forge(name string, state File) error {
	x := sample(state)
	x.Chunks[0] = chunk.Chunk{N: 0, Len: chunk.Size, Zero: true}
	return os.WriteFile(name, x.encodeSealed(nil), 0o600)
}

// A store has a bound, and what was used longest ago goes first.
func TestPrune(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "groundhog")
	s := storeAt(dir)
	name, state := file(t)
	s.Put(name, sample(state))
	for n := range maxEntries {
		judge.WriteFile(t, filepath.Join(dir, string(rune('a'+n%26))+sum64[:n/26]+indexSuffix), make([]byte, 10))
	}
	large := filepath.Join(dir, "large"+indexSuffix)
	later := time.Now().Add(time.Minute) // as where the clock for files stands still
	judge.Must(t, errorsOf(os.WriteFile(large, nil, 0o600), os.Truncate(large, maxStore), os.Chtimes(large, later, later)))
	s.Put(name, sample(state))
	total, count := int64(0), 0
	all, _ := filepath.Glob(filepath.Join(dir, "*"+indexSuffix))
	for _, n := range all {
		info := judge.Value(os.Stat(n))(t)
		total, count = total+info.Size(), count+1
	}
	if total > maxStore || count > maxEntries {
		t.Errorf("%d indexes of %d bytes", count, total)
	}
	if s.Get(name, state) == nil {
		t.Error("what was just kept is gone")
	}
}

// Who has a key that was cut, by a disk that was full, learns what to do about it.
func TestCutKey(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{0, keyLen - 1, keyLen + 1, 100} {
		judge.WriteFile(t, filepath.Join(dir, "key"), make([]byte, n))
		if _, err := OpenAt(dir); err == nil || !strings.Contains(err.Error(), "its key in "+dir+": not a key: once that file is away another is made") {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	judge.Must(t, os.Remove(filepath.Join(dir, "key")))
	if _, err := OpenAt(dir); err != nil {
		t.Errorf("without it: %v", err)
	}
}
