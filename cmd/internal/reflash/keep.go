package reflash

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/sidefile"
	"groundhog/initrd"
)

// mostKept is how many archives that came through a pipe are kept; flash asks for the one that it was pushed to last.
const mostKept = 8

// KeepArchive copies an archive that comes through a pipe to a file beside the records of devices: it is sent to each of
// them, and flash later takes the host keys from it. A copy that is unfinished, or would have more than most bytes, is removed. The caller
// tells settle how reading the copy as an archive ended; settle returns that error with "standard input" for the file's name. After a
// success the oldest kept archives go. After an error the copy goes, unless the same was kept before: a device may wait in it.
func KeepArchive(r io.Reader, most int64) (path string, settle func(read error) error, err error) {
	base, err := device.StateDir()
	if err != nil {
		return "", nil, err
	}
	dir, err := keptArchives(base)
	if err != nil {
		return "", nil, fmt.Errorf("keeping the archive: %w", err)
	}
	defer dir.Close()
	aside, err := sidefile.NewAside(dir, "archive") // its name is its hash, which is not known yet
	if err != nil {
		return "", nil, err
	}
	defer aside.Discard()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(aside, h), io.LimitReader(r, most+1))
	switch err = errors.Join(err, aside.Complete(0o600)); { // it may carry private host keys
	case err != nil:
		return "", nil, fmt.Errorf("keeping the archive: %w", err)
	case n > most:
		return "", nil, fmt.Errorf("the archive: more than %d bytes: %w", most, initrd.ErrTooLarge)
	}
	name := hex.EncodeToString(h.Sum(nil)) + ".img"
	path = filepath.Join(base, archivesDir, name)
	_, before := dir.Lstat(name)
	if err := aside.Become(name); err != nil {
		return "", nil, err
	}
	return path, func(read error) error {
		if read == nil {
			return dropOld(base)
		}
		read = pipedError{read, path}
		if errors.Is(before, fs.ErrNotExist) {
			return errors.Join(read, os.Remove(path))
		}
		return read
	}, nil
}

// pipedError is an error of reading what came through a pipe, of which the user knows no file.
type pipedError struct {
	error
	kept string
}

func (e pipedError) Error() string {
	return strings.ReplaceAll(e.error.Error(), e.kept, "standard input")
}

func (e pipedError) Unwrap() error { return e.error }

// archivesDir is where archives are kept, beside the records.
const archivesDir = "archives"

// keptArchives is that directory: what is in it goes to devices, so nobody else may write there.
func keptArchives(base string) (*os.Root, error) {
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, err
	}
	state, err := os.OpenRoot(base)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	return sidefile.OwnDir(state, archivesDir)
}

// dropOld leaves the newest of the kept archives.
func dropOld(base string) error {
	dir, err := keptArchives(base)
	if err != nil {
		return err
	}
	defer dir.Close()

	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	var kept []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == ".img" {
			kept = append(kept, info)
		}
	}
	slices.SortFunc(kept, func(a, b os.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, info := range kept[min(mostKept, len(kept)):] {
		if err := dir.Remove(info.Name()); err != nil {
			return err
		}
	}
	return nil
}
