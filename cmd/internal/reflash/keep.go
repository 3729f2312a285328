package reflash

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"groundhog/cmd/internal/device"
	"groundhog/initrd"
)

// mostKept is how many archives that came through a pipe are kept; flash asks for the one that it was pushed to last.
const mostKept = 8

// KeepArchive copies an archive that comes through a pipe to a file beside the records of devices: it is sent to each of
// them, and flash later takes the host keys from it. Of more than most bytes, and of an unfinished copy, nothing stays.
func KeepArchive(r io.Reader, most int64) (path string, err error) {
	base, err := device.StateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "archives")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, ".archive-*") // 0600: it may carry private host keys
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, most+1))
	switch err = errors.Join(err, f.Close()); {
	case err != nil:
		return "", fmt.Errorf("keeping the archive: %w", err)
	case n > most:
		return "", fmt.Errorf("the archive: more than %d bytes: %w", most, initrd.ErrTooLarge)
	}
	path = filepath.Join(dir, hex.EncodeToString(h.Sum(nil))+".img")
	if err := os.Rename(f.Name(), path); err != nil {
		return "", err
	}
	return path, dropOld(dir)
}

// dropOld leaves the newest of the kept archives.
func dropOld(dir string) error {
	entries, err := os.ReadDir(dir)
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
		if err := os.Remove(filepath.Join(dir, info.Name())); err != nil {
			return err
		}
	}
	return nil
}
