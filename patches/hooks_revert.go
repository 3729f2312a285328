package patches

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// ErrChanged is wrapped by errors about files that somebody changed since
// groundhog wrote them.
var ErrChanged = errors.New("changed since groundhog wrote it")

// HooksRevert is what [RevertHooks] would do: Changes first, then Drop, then
// the removal of those Directories that are empty, the last one first.
type HooksRevert struct {
	Changes     []FileChange
	Drop        []FileChange // below KeepDir
	Directories []string
}

// RevertHooks works out how the root tree becomes what it was before [Hooks];
// nil where groundhog changed nothing. It is all or nothing: a boot script that
// sources what is no longer there would be worse than either.
func RevertHooks(root fs.FS) (*HooksRevert, error) {
	k, err := openKeeper(root)
	if err != nil {
		return nil, err
	}
	s, err := k.read()
	if err != nil || s == nil {
		return nil, err
	}
	r := &HooksRevert{Directories: s.madeFor(k)}
	var changed []string
	for i := range s.Files {
		e := &s.Files[i]
		c, err := k.revert(e)
		if errors.Is(err, ErrChanged) {
			changed = append(changed, e.Path)
			continue
		} else if err != nil {
			return nil, err
		}
		if c != nil {
			r.Changes = append(r.Changes, *c)
		}
		if e.Before != "" {
			r.Drop = append(r.Drop, FileChange{Path: k.original(e.Path), Before: []byte{}})
		}
	}
	if changed != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(changed, ", "), ErrChanged)
	}
	r.Drop = append(r.Drop, FileChange{Path: k.state(), Before: []byte{}})
	return r, k.readDrops(r.Drop)
}

// readDrops fills in what is to be dropped.
func (k *keeper) readDrops(drop []FileChange) error {
	for i := range drop {
		f, err := readHookFile(k.root, drop[i].Path)
		if err != nil {
			return err
		}
		drop[i].Before = f.current
	}
	return nil
}

// revert is the change that undoes one; nil where it is undone already.
func (k *keeper) revert(e *stateEntry) (*FileChange, error) {
	if at, err := place(k.root, e.Path); err != nil {
		return nil, err
	} else if at != e.Path {
		return nil, ErrChanged
	}
	now, err := readHookFile(k.root, e.Path)
	if err != nil {
		return nil, err
	}
	switch hash := sum(now.current); {
	case hash == e.Before:
		return nil, nil
	case e.wrote(hash):
		f, err := k.before(e)
		if err != nil || f.current == nil {
			return &FileChange{Path: e.Path, Before: now.current}, err
		}
		return &FileChange{Path: e.Path, Before: now.current, After: f.current, Mode: f.mode, Like: k.original(e.Path)}, nil
	}
	return nil, ErrChanged
}
