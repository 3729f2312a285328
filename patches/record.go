package patches

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"groundhog/initrd"
	"groundhog/manifest"
	"groundhog/patches/scripts"
)

// readRecord is what the archive says of its patches, nil where nothing.
func readRecord(img *initrd.Image) (*manifest.Record, error) {
	r, err := manifest.ReadRecord(img)
	if errors.Is(err, manifest.ErrNoRecord) {
		return nil, nil
	}
	return r, err
}

// leaveRecord leaves in the archive what was done to it, and its id. An archive
// that no patch changed keeps the record and the id that it has.
func (t *Archive) leaveRecord(r *Report, tool, source string) error {
	old, err := readRecord(t.Image)
	if err != nil {
		return err
	}
	if !r.Changed() && old != nil {
		r.Build = old.Build
		return nil
	}
	r.Build = t.buildID(source)
	if err := t.setSetting("GROUNDHOG_BUILD", r.Build); err != nil {
		return err
	}
	rec := t.recordOf(tool, r.Build, r.Patches)
	if old != nil {
		rec.Patches = mergePatches(old.Patches, rec.Patches)
	}
	b, err := rec.Encode()
	if err != nil {
		return err
	}
	return t.putGenerated(manifest.RecordPath, b)
}

// mergePatches adds what is new to what was done before. A path that a later
// run changed stays with the patch that first brought it, too.
func mergePatches(old, now []manifest.Patch) []manifest.Patch {
	all := slices.Clone(old)
	for _, p := range now {
		i := slices.IndexFunc(all, func(o manifest.Patch) bool { return o.Name == p.Name })
		if i < 0 {
			all = append(all, p)
			continue
		}
		paths := slices.Concat(all[i].Paths, p.Paths)
		slices.Sort(paths)
		if len(p.Paths) > 0 {
			all[i].Summary = p.Summary
		}
		all[i].Paths = slices.Compact(paths)
	}
	return all
}

// buildID names what was built from what: 16 hexadecimal digits of a SHA-256
// over the source archive's and every edit.
func (t *Archive) buildID(source string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", source)
	for _, e := range t.Image.Edits() {
		if e.After == nil {
			fmt.Fprintf(h, "removed %q\n", e.Name)
			continue
		}
		if e.Name == scripts.Conf || e.Name == manifest.RecordPath {
			continue // they will hold the id
		}
		fmt.Fprintf(h, "%q %o %x\n", e.Name, e.After.Mode, t.Image.Sum(e.After))
	}
	for _, name := range []string{"GROUNDHOG_DEVICE", "GROUNDHOG_INTERFACE_TIMEOUT", "GROUNDHOG_MAC", "GROUNDHOG_WAIT", "GROUNDHOG_EPOCH"} {
		fmt.Fprintf(h, "%s=%s\n", name, t.readSetting(name))
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// putRecord writes what our hook copies to [manifest.RecordPath]. One of the same
// build stays, whatever version of the program wrote it.
func (t *Tree) putRecord(tool string) error {
	f, err := t.undo.Load(recordFile, nil)
	if err != nil {
		return err
	}
	if old, err := manifest.DecodeRecord(f.Current); err == nil && old.Build == t.report.Build {
		return t.putOwn(recordFile, 0o644, f.Current)
	}
	b, err := t.recordOf(tool, t.report.Build, t.record).Encode()
	if err != nil {
		return err
	}
	return t.putOwn(recordFile, 0o644, b)
}

// recordOf is the record of what was done.
func (t *editTarget) recordOf(tool, build string, applied []Applied) *manifest.Record {
	r := &manifest.Record{Schema: manifest.RecordSchema, Tool: tool, Build: build, Release: t.Release, Board: t.opts.Board}
	for _, a := range applied {
		r.Patches = append(r.Patches, manifest.Patch{Name: a.Name, Summary: a.Summary, Paths: a.Paths})
	}
	return r
}
