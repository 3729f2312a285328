package undo

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// ErrChanged is wrapped by errors about files that somebody changed since
// groundhog wrote them.
var ErrChanged = errors.New("changed since groundhog wrote it")

// Reverted is what [Revert] would do: Changes first, then Drop, then
// the removal of those Directories that are empty, the last one first.
type Reverted struct {
	Changes     []Change
	Drop        []Change // below KeepDir
	Directories []string
}

// Revert works out how the root tree becomes what it was before the changes;
// nil where groundhog changed nothing. It is all or nothing: a boot script that
// sources what is no longer there would be worse than either.
func Revert(root fs.FS) (*Reverted, error) {
	k, err := openKeeper(root)
	if err != nil {
		return nil, err
	}
	s, err := k.readState()
	if err != nil || s == nil {
		return nil, err
	}
	r := &Reverted{Directories: s.madeFor(k)}
	var changed []string
	for i := range s.Files {
		e := &s.Files[i]
		c, err := k.revertEntry(e)
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
			r.Drop = append(r.Drop, Change{Path: k.originalFile(e.Path), Before: []byte{}})
		}
	}
	if changed != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(changed, ", "), ErrChanged)
	}
	r.Drop = append(r.Drop, Change{Path: k.stateFile(), Before: []byte{}})
	return r, k.readDrops(r.Drop)
}

// readDrops fills in what is to be dropped.
func (k *keeper) readDrops(drop []Change) error {
	for i := range drop {
		f, err := readTreeFile(k.root, drop[i].Path)
		if err != nil {
			return err
		}
		drop[i].Before = f.Current
	}
	return nil
}

// revertEntry is the change that undoes one; nil where it is undone already.
func (k *keeper) revertEntry(e *stateEntry) (*Change, error) {
	if at, err := placeInTree(k.root, e.Path); err != nil {
		return nil, err
	} else if at != e.Path {
		return nil, ErrChanged
	}
	now, err := readTreeFile(k.root, e.Path)
	if err != nil {
		return nil, err
	}
	switch hash := sumIfThere(now.Current); {
	case hash == e.Before:
		return nil, nil
	case e.wroteHash(hash):
		f, err := k.originalOf(e)
		if err != nil || f.Current == nil {
			return &Change{Path: e.Path, Before: now.Current}, err
		}
		return &Change{Path: e.Path, Before: now.Current, After: f.Current, Mode: f.Mode, Like: k.originalFile(e.Path)}, nil
	}
	return nil, ErrChanged
}
