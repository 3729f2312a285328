// Package diff compares two manifests and reports what changed: as text for a
// terminal, as Markdown for a merge request, as a page for a browser, as JSON.
// Its rules say which changes a build must not have.
package diff

import (
	"path"
	"slices"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/manifest"
)

// ChangesSchema is the version of the JSON form of [Changes].
const ChangesSchema = 1

// Of compares two manifests. What differs from build to build and means
// nothing is folded: times, inodes (which names share one, and in which segment),
// the random name of root's home, ld.so.cache. Folded entries are counted, and
// listed if all is set. Another compression of a segment is a difference; another
// size of the same compression is none. The capabilities of a file that both have are compared where both manifests tell them
// ([manifest.Manifest.TellsCapabilities]); [Changes.UnreadLine] says where they were not.
func Of(a, b *manifest.Manifest, all bool) *Changes {
	c := &Changes{Schema: ChangesSchema, Old: sideOf(a), New: sideOf(b), Facts: []Fact{}, Keys: []KeyChange{},
		Patches: []PatchChange{}, Own: []OwnChange{}, Segments: []SegmentChange{}, Modules: []ModuleChange{}, Folded: []Fold{}, Kernels: pairKernels(a.Kernels, b.Kernels)}
	rename := renamedPackages(a.Packages, b.Packages, c.Kernels)
	changes := c.compareEntries(a.Entries, b.Entries, rename, all)
	c.Total.Growth = c.New.Content - c.Old.Content
	c.Total.File = c.New.Size - c.Old.Size
	c.compareFacts(a, b)
	c.compareKeys("host", a.HostKeys, b.HostKeys)
	c.compareKeys("authorized", a.AuthorizedKeys, b.AuthorizedKeys)
	c.comparePatches(a.Patches, b.Patches)
	c.compareSegments(a.Segments, b.Segments)
	c.compareModules(a.Entries, b.Entries, changes)
	c.countModules(b.Entries, changes)
	c.countEntries(changes)
	c.countOwn(changes)
	c.groupByPackage(a, b, rename, changes)
	c.Same = c.Total.Added+c.Total.Removed+c.Total.Changed+c.Total.Moved == 0 && len(c.Facts) == 0 &&
		len(c.Keys) == 0 && len(c.Patches) == 0 && len(c.Segments) == 0 && !c.versionsChanged()
	return c
}

func sideOf(m *manifest.Manifest) Side {
	s := Side{Entries: len(m.Entries), Origins: len(m.Packages) > 0, Capabilities: m.TellsCapabilities()}
	if m.Archive != nil {
		s.Name, s.SHA256, s.Size = m.Archive.Name, m.Archive.SHA256, m.Archive.Size
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		s.Content += ownSize(e)
		if patchOf(e) != "" {
			s.Own += ownSize(e)
		}
	}
	return s
}

// ownSize is what an entry adds to the size of the whole: a further name of a
// hard-linked file adds nothing.
func ownSize(e *manifest.Entry) int64 {
	if e.LinkOf != "" {
		return 0
	}
	return e.Size
}

// compareEntries walks both lists, which are sorted, side by side.
func (c *Changes) compareEntries(a, b []manifest.Entry, rename map[groupKey]groupKey, all bool) []Change {
	var changes []Change
	var gone, come []*manifest.Entry
	folded := map[noiseBits]int{}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case j == len(b) || i < len(a) && a[i].Path < b[j].Path:
			gone = append(gone, &a[i])
			i++
		case i == len(a) || b[j].Path < a[i].Path:
			come = append(come, &b[j])
			j++
		default:
			if d := c.differenceOf(&a[i], &b[j]); d != (difference{}) && !d.foldNoise(folded, all) {
				changes = append(changes, d.changeInWords(&a[i], &b[j]))
			}
			i++
			j++
		}
	}
	p := &pairs{gone: gone, come: come}
	same := func(old, now *manifest.Entry, d difference) {
		if !d.foldNoise(folded, all) {
			ch := d.changeInWords(old, now)
			ch.From = old.Path
			changes = append(changes, ch)
		}
	}
	p.takePairs(inHome, func(old, now *manifest.Entry) {
		d := c.differenceOf(old, now)
		d.noise |= noiseHome
		same(old, now, d)
	})
	kernel := func(old, now *manifest.Entry) { same(old, now, c.ofKernel(old, now)) }
	p.takePairs(c.kernelPath, kernel)
	p.takePairs(c.kernelModule, kernel)
	moved := func(old, now *manifest.Entry) {
		ch := c.differenceOf(old, now).changeInWords(old, now)
		ch.Kind, ch.From = Moved, old.Path
		changes = append(changes, ch)
	}
	p.takePairs(samePlace, moved)
	p.takePairs(func(e *manifest.Entry) string { return contentKey(e, path.Base(e.Path)) }, moved)
	p.takePairs(func(e *manifest.Entry) string { return contentKey(e, "") }, moved)
	p.takePairs(renamedFile(rename), moved)
	for _, e := range p.gone {
		changes = append(changes, Change{Kind: Removed, Path: e.Path, Growth: -ownSize(e), Old: e, Fields: []string{}})
	}
	for _, e := range p.come {
		changes = append(changes, Change{Kind: Added, Path: e.Path, Growth: ownSize(e), New: e, Fields: []string{}})
	}
	for bit, name := range noiseNames {
		if n := folded[1<<bit]; n > 0 {
			c.Folded = append(c.Folded, Fold{name, n})
		}
	}
	return changes
}

// inHome is a path in root's random home without the random part; "" elsewhere.
func inHome(e *manifest.Entry) string { return debian.StableHome(e.Path) }

// samePlace is a key for what is found by programs where the old one was: on the other side of a merged /usr, or, a module or firmware,
// compressed otherwise.
func samePlace(e *manifest.Entry) string {
	at := debian.MergedUsr(e.Path)
	if strings.HasPrefix(at, "usr/lib/modules/") || strings.HasPrefix(at, "usr/lib/firmware/") {
		at = debian.WithoutPacking(at)
	}
	return string(e.Type) + " " + at
}

// contentKey is a key for entries whose content is worth recognising elsewhere; ""
// of others. The many names of one inode come and go: that is no move.
func contentKey(e *manifest.Entry, base string) string {
	if e.Type != manifest.File || e.Size == 0 || e.LinkOf != "" {
		return ""
	}
	return e.SHA256 + base
}

// pairs is what is gone and what has come.
type pairs struct{ gone, come []*manifest.Entry }

// takePairs takes out pairs of the same key, each entry once, in order of paths.
func (p *pairs) takePairs(key func(*manifest.Entry) string, found func(old, now *manifest.Entry)) {
	if len(p.gone) == 0 || len(p.come) == 0 {
		return
	}
	old := map[string][]*manifest.Entry{}
	for _, e := range p.gone {
		if k := key(e); k != "" {
			old[k] = append(old[k], e)
		}
	}
	taken := map[*manifest.Entry]bool{}
	p.come = slices.DeleteFunc(p.come, func(e *manifest.Entry) bool {
		k := key(e)
		if k == "" || len(old[k]) == 0 {
			return false
		}
		from := old[k][0]
		old[k] = old[k][1:]
		taken[from] = true
		found(from, e)
		return true
	})
	p.gone = slices.DeleteFunc(p.gone, func(e *manifest.Entry) bool { return taken[e] })
}

// countEntries adds up what became of entries.
func (c *Changes) countEntries(changes []Change) {
	for i := range changes {
		switch ch := &changes[i]; {
		case ch.Kind == Added:
			c.Total.Added++
		case ch.Kind == Removed:
			c.Total.Removed++
		case ch.Kind == Moved:
			c.Total.Moved++
		case !ch.Folded():
			c.Total.Changed++
		}
	}
}
