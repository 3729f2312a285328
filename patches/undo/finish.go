package undo

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
)

// Finish sees to what only an earlier run had to do with, and turns it all into
// changes. keep has to be on the disk before any of the others is made, because
// undoing them needs it: originals, and the state that names them. build is the id
// of what was done.
func (t *Tree) Finish(build string) (keep, changes []Change, err error) {
	if err := t.restoreRest(); err != nil {
		return nil, nil, err
	}
	for _, at := range t.Paths() {
		f := t.files[at]
		if f.needsWriting() {
			changes = append(changes, Change{Path: at, Before: f.Current, After: f.After, Mode: f.Mode})
		}
	}
	keep, err = t.keepOriginals(build, changes)
	return keep, changes, err
}

// restoreRest gives files that only an earlier run had to do with their
// originals back.
func (t *Tree) restoreRest() error {
	if t.state == nil {
		return nil
	}
	for _, e := range t.state.Files {
		if t.files[e.Path] != nil {
			continue
		}
		f, err := t.Load(e.Path, nil) // whose after is its original
		if err != nil {
			return err
		}
		if now := sumIfThere(f.Current); !e.wroteHash(now) && now != e.Before {
			t.addNote("%s: changed since groundhog wrote it, left as it is", e.Path)
		}
	}
	return nil
}

// keepOriginals works out what has to be kept for a revert.
func (t *Tree) keepOriginals(build string, changes []Change) (keep []Change, err error) {
	s := &undoState{Schema: stateSchema, Build: build, Files: []stateEntry{}, Directories: []string{}}
	if t.state != nil {
		s.Directories = slices.Clone(t.state.Directories)
	}
	for _, at := range t.Paths() {
		f := t.files[at]
		old := t.state.entryFor(at)
		switch {
		case old != nil && !f.needsWriting() && (f.changesOriginal() || sumIfThere(f.Current) != old.Before):
			s.Files = append(s.Files, *old) // also of a file that somebody changed since
		case f.changesOriginal(), old != nil && f.needsWriting(): // going back to what it was: known until it is
			s.Files = append(s.Files, stateEntry{Path: at, Before: sumIfThere(f.original), After: sumIfThere(f.After), Replaced: old.replacedBy(sumIfThere(f.Current))})
			c, err := t.keepOriginal(at, f)
			if err != nil {
				return nil, err
			}
			keep = append(keep, c...)
		}
	}
	for _, c := range append(slices.Clone(changes), keep...) {
		s.Directories = append(s.Directories, t.missingDirs(c)...)
	}
	s.Directories = append(s.Directories, t.missingDirs(Change{Path: t.keeper.stateFile(), After: []byte{}})...)
	slices.Sort(s.Directories)
	s.Directories = slices.Compact(s.Directories)
	c, err := t.keepState(s)
	if err != nil {
		return nil, err
	}
	dropped, err := t.dropOriginals(s)
	return slices.Concat(keep, c, dropped), err
}

// keepOriginal copies what is not kept yet.
func (t *Tree) keepOriginal(at string, f *File) ([]Change, error) {
	if f.original == nil {
		return nil, nil
	}
	kept, err := readTreeFile(t.root, t.keeper.originalFile(at))
	if err != nil || bytes.Equal(kept.Current, f.original) && kept.Current != nil {
		return nil, err
	}
	return []Change{{Path: t.keeper.originalFile(at), Before: kept.Current, After: f.original, Mode: f.nowMode, Like: at}}, nil
}

// dropOriginals removes what the new state no longer names.
func (t *Tree) dropOriginals(s *undoState) (drop []Change, err error) {
	if t.state == nil {
		return nil, nil
	}
	for _, e := range t.state.Files {
		if now := s.entryFor(e.Path); e.Before == "" || now != nil && now.Before != "" {
			continue
		}
		at := t.keeper.originalFile(e.Path)
		f, err := readTreeFile(t.root, at)
		if err != nil {
			return nil, err
		}
		drop = append(drop, Change{Path: at, Before: f.Current})
	}
	return drop, nil
}

// keepState writes the state, unless it is there as it is.
func (t *Tree) keepState(s *undoState) ([]Change, error) {
	b, err := s.encodeJSON()
	if err != nil {
		return nil, err
	}
	f, err := readTreeFile(t.root, t.keeper.stateFile())
	if err != nil || bytes.Equal(f.Current, b) {
		return nil, err
	}
	return []Change{{Path: t.keeper.stateFile(), Before: f.Current, After: b, Mode: 0o644}}, nil
}

// missingDirs is the directories that have to be made for a file.
func (t *Tree) missingDirs(c Change) []string {
	var dirs []string
	if c.After == nil {
		return nil
	}
	for dir := path.Dir(c.Path); dir != "."; dir = path.Dir(dir) {
		if _, err := fs.Lstat(t.root, dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dirs = append(dirs, dir)
	}
	return dirs
}
