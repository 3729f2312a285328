package manifest

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"groundhog/initrd/show"
)

// Unreadable names all that a user may not read of a root tree, sorted: a tree of
// root's has some ten such files, and who learns of them one run at a time gives up.
type Unreadable struct{ Names []string }

// Error names the files, as they can be printed.
func (u *Unreadable) Error() string {
	var names []string
	for _, name := range u.Names {
		names = append(names, show.Printable(name))
	}
	return "this user may not read " + strings.Join(names, ", ")
}

// Unwrap is the cause.
func (u *Unreadable) Unwrap() error { return fs.ErrPermission }

// unreadableNames collects those names; it may be used by several goroutines at once.
type unreadableNames struct {
	mu    sync.Mutex
	names []string
}

// noteDenied takes err up if it says that name may not be read, and returns it if not.
func (u *unreadableNames) noteDenied(name string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.names = append(u.names, name)
	return nil
}

// err is what was collected, nil if that is nothing.
func (u *unreadableNames) err() error {
	if len(u.names) == 0 {
		return nil
	}
	slices.Sort(u.names)
	return &Unreadable{slices.Compact(u.names)}
}
