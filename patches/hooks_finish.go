package patches

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"

	"groundhog/manifest"
)

// finish names the build, writes the record, sees to what only an earlier run
// had to do with, and turns it all into changes.
func (h *hooks) finish(tool string) error {
	h.report.Build = h.buildID()
	if err := h.setting("GROUNDHOG_BUILD", h.report.Build); err != nil {
		return err
	}
	if err := h.putRecord(tool); err != nil {
		return err
	}
	if err := h.restoreRest(); err != nil {
		return err
	}
	for _, at := range h.paths() {
		f := h.files[at]
		if f.changed() {
			h.report.Changes = append(h.report.Changes, FileChange{Path: at, Before: f.current, After: f.after, Mode: f.mode})
		}
	}
	for i := range h.report.Patches {
		a := &h.report.Patches[i]
		a.Changed = slices.ContainsFunc(h.report.Changes, func(c FileChange) bool { return slices.Contains(a.Paths, c.Path) })
	}
	return h.keepOriginals()
}

// restoreRest gives files that only an earlier run had to do with their
// originals back.
func (h *hooks) restoreRest() error {
	if h.state == nil {
		return nil
	}
	for _, e := range h.state.Files {
		if h.files[e.Path] != nil {
			continue
		}
		f, err := h.load(e.Path, nil) // whose after is its original
		if err != nil {
			return err
		}
		if now := sum(f.current); !e.wrote(now) && now != e.Before {
			h.note("%s: changed since groundhog wrote it, left as it is", e.Path)
		}
	}
	return nil
}

// putRecord writes what our hook copies to [manifest.RecordPath]. One of the
// same build stays, whatever version of the program wrote it.
func (h *hooks) putRecord(tool string) error {
	const name = ownDir + "/patches.json"
	f, err := h.load(name, nil)
	if err != nil {
		return err
	}
	if old, err := manifest.DecodeRecord(f.current); err == nil && old.Build == h.report.Build {
		return h.own(name, 0o644, f.current)
	}
	rec := &manifest.Record{Schema: manifest.RecordSchema, Tool: tool, Build: h.report.Build,
		Release: h.Release, Board: h.opts.Board}
	for _, a := range h.record {
		slices.Sort(a.Paths)
		rec.Patches = append(rec.Patches, manifest.Patch{Name: a.Name, Summary: a.Summary, Paths: slices.Compact(a.Paths)})
	}
	b, err := rec.Encode()
	if err != nil {
		return err
	}
	return h.own(name, 0o644, b)
}

// keepOriginals works out what has to be kept for a revert.
func (h *hooks) keepOriginals() error {
	s := &hookState{Schema: stateSchema, Build: h.report.Build, Files: []stateEntry{}, Directories: []string{}}
	if h.state != nil {
		s.Directories = slices.Clone(h.state.Directories)
	}
	for _, at := range h.paths() {
		f := h.files[at]
		old := h.state.entry(at)
		switch {
		case old != nil && !f.changed() && (f.ours() || sum(f.current) != old.Before):
			s.Files = append(s.Files, *old) // also of a file that somebody changed since
		case f.ours(), old != nil && f.changed(): // going back to what it was: known until it is
			s.Files = append(s.Files, stateEntry{Path: at, Before: sum(f.original), After: sum(f.after), Replaced: old.replaced(sum(f.current))})
			if err := h.keepOriginal(at, f); err != nil {
				return err
			}
		}
	}
	for _, c := range append(slices.Clone(h.report.Changes), h.report.Keep...) {
		s.Directories = append(s.Directories, h.missingDirs(c)...)
	}
	s.Directories = append(s.Directories, h.missingDirs(FileChange{Path: h.keeper.state(), After: []byte{}})...)
	slices.Sort(s.Directories)
	s.Directories = slices.Compact(s.Directories)
	if err := h.keepState(s); err != nil {
		return err
	}
	return h.dropOriginals(s)
}

// keepOriginal copies what is not kept yet.
func (h *hooks) keepOriginal(at string, f *hookFile) error {
	if f.original == nil {
		return nil
	}
	kept, err := readHookFile(h.Root, h.keeper.original(at))
	if err != nil || bytes.Equal(kept.current, f.original) && kept.current != nil {
		return err
	}
	c := FileChange{Path: h.keeper.original(at), Before: kept.current, After: f.original, Mode: f.nowMode, Like: at}
	h.report.Keep = append(h.report.Keep, c)
	return nil
}

// dropOriginals removes what the new state no longer names.
func (h *hooks) dropOriginals(s *hookState) error {
	if h.state == nil {
		return nil
	}
	for _, e := range h.state.Files {
		if now := s.entry(e.Path); e.Before == "" || now != nil && now.Before != "" {
			continue
		}
		at := h.keeper.original(e.Path)
		f, err := readHookFile(h.Root, at)
		if err != nil {
			return err
		}
		h.report.Keep = append(h.report.Keep, FileChange{Path: at, Before: f.current})
	}
	return nil
}

// keepState writes the state, unless it is there as it is.
func (h *hooks) keepState(s *hookState) error {
	b, err := s.encode()
	if err != nil {
		return err
	}
	f, err := readHookFile(h.Root, h.keeper.state())
	if err != nil || bytes.Equal(f.current, b) {
		return err
	}
	h.report.Keep = append(h.report.Keep, FileChange{Path: h.keeper.state(), Before: f.current, After: b, Mode: 0o644})
	return nil
}

// missingDirs is the directories that have to be made for a file.
func (h *hooks) missingDirs(c FileChange) []string {
	var dirs []string
	if c.After == nil {
		return nil
	}
	for dir := path.Dir(c.Path); dir != "."; dir = path.Dir(dir) {
		if _, err := fs.Lstat(h.Root, dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dirs = append(dirs, dir)
	}
	return dirs
}
