package inspect

import (
	"fmt"
	"slices"
	"time"

	"groundhog/initrd"
	"groundhog/manifest"
)

// Listed is one line of --list, and its JSON. Of the tree, names are where the
// kernel puts them and a hard link's size is that of its content; of the records
// (--all) both are as stored.
type Listed struct {
	Segment int           `json:"segment"`
	Inode   uint32        `json:"inode"`
	Path    string        `json:"path"` // escaped, as in a manifest
	Type    manifest.Type `json:"type"`
	Mode    manifest.Mode `json:"mode"` // octal digits
	Links   uint32        `json:"links"`
	UID     uint32        `json:"uid"`
	GID     uint32        `json:"gid"`
	Size    int           `json:"size"`
	Mtime   uint32        `json:"mtime"` // seconds since 1970
	Device  string        `json:"device,omitzero"`
	Target  string        `json:"target,omitzero"` // of a symlink, escaped

	mode uint32
	rdev initrd.Device
}

// Listing is what --list --json prints.
type Listing struct {
	Schema  int      `json:"schema"`
	Entries []Listed `json:"entries"`
}

// List lists the tree that the kernel ends up with, or all records of all segments in order.
func List(img *initrd.Image, all bool) []Listed {
	entries := []Listed{}
	add := func(name string, e *initrd.Entry, size int) {
		entries = append(entries, listedOf(name, e, slices.Index(img.Segments, e.Segment()), size))
	}
	if all {
		for _, s := range img.Segments {
			for _, e := range s.Entries {
				add(e.Name, e, len(e.Data))
			}
		}
		return entries
	}
	for name, e := range img.Tree() {
		add(name, e, len(img.Content(e)))
	}
	return entries
}

func listedOf(name string, e *initrd.Entry, segment, size int) Listed {
	l := Listed{Segment: segment, Inode: e.Ino, Path: manifest.EscapePath(name), Type: manifest.TypeOf(e),
		Mode: manifest.Mode(e.Perm() & 0o7777), Links: e.Nlink, UID: e.UID, GID: e.GID, Size: size, Mtime: e.Mtime,
		mode: e.Mode, rdev: e.Rdev}
	switch l.Type {
	case manifest.Symlink:
		l.Target = manifest.EscapePath(string(e.Data))
	case manifest.Char, manifest.Block:
		l.Device = fmt.Sprintf("%d:%d", e.Rdev.Major, e.Rdev.Minor)
	}
	return l
}

// String is the line as `cpio -itvn` has it, but for the time: ls's two forms
// of that depend on the clock.
func (l Listed) String() string {
	size := fmt.Sprint(l.Size)
	if l.Device != "" {
		size = fmt.Sprintf("%3d, %3d", l.rdev.Major, l.rdev.Minor)
	}
	name := l.Path
	if l.Type == manifest.Symlink {
		name += " -> " + l.Target
	}
	return fmt.Sprintf("%s %3d %-8d %-8d %8s %s %s", initrd.ModeString(l.mode), l.Links, l.UID, l.GID, size,
		time.Unix(int64(l.Mtime), 0).UTC().Format(time.RFC3339), name)
}
