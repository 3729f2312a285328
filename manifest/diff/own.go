package diff

import (
	"cmp"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// What groundhog itself put into an archive is told apart from the rest, by the archive's record of patches: an entry is
// groundhog's own where the record says that a patch put or changed it, on either side. Every byte of growth counts once,
// as own or as the rest: who limits both misses nothing, even where a record claims too much.

// OwnChange is what became of the files of one patch.
type OwnChange struct {
	Patch  string `json:"patch"`
	Files  int    `json:"files"` // that changed
	Growth int64  `json:"growth"`
}

// patchOf is the patch that put or changed an entry, "" of what groundhog left alone.
func patchOf(e *manifest.Entry) string {
	switch {
	case e == nil:
		return ""
	case e.Patch == "" && e.Origin != nil && e.Origin.Kind == manifest.FromGroundhog:
		return e.Origin.Name
	}
	return e.Patch
}

// countOwn adds up what changed of groundhog's own files.
func (c *Changes) countOwn(changes []Change) {
	by := map[string]*OwnChange{}
	for i := range changes {
		ch := &changes[i]
		name := cmp.Or(patchOf(ch.New), patchOf(ch.Old))
		if name == "" || ch.Kind == Changed && ch.Folded() {
			continue
		}
		if by[name] == nil {
			by[name] = &OwnChange{Patch: name}
		}
		by[name].Files++
		by[name].Growth += ch.Growth
		c.Total.Own += ch.Growth
	}
	for _, o := range by {
		c.Own = append(c.Own, *o)
	}
	slices.SortFunc(c.Own, func(x, y OwnChange) int {
		return cmp.Or(cmp.Compare(y.Growth, x.Growth), cmp.Compare(x.Patch, y.Patch))
	})
}

// OwnLine says how much of the growth is groundhog's own, by patch: "groundhog's own +8.9 MiB (curl +6.9 MiB, ...); the rest
// +1.2 KiB"; "" where nothing of its own changed.
func (c *Changes) OwnLine() string {
	if len(c.Own) == 0 {
		return ""
	}
	var parts []string
	for _, o := range c.Own {
		parts = append(parts, o.Patch+" "+show.Growth(o.Growth))
	}
	return "groundhog's own " + show.Growth(c.Total.Own) + " (" + strings.Join(parts, ", ") + "); the rest " + show.Growth(c.Total.Growth-c.Total.Own)
}
