package diff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/manifest"
)

func (c *Changes) compareFacts(a, b *manifest.Manifest) {
	fact := func(name, old, new string) {
		if old != new {
			c.Facts = append(c.Facts, Fact{name, old, new})
		}
	}
	fact("source", string(a.Source), string(b.Source))
	fact("architecture", a.Architecture, b.Architecture)
	if a.Release != "" && b.Release != "" { // an archive alone does not tell
		fact("release", a.Release, b.Release)
	}
	fact("kernels", strings.Join(a.Kernels, " "), strings.Join(b.Kernels, " "))
	fact("dropbear", strconv.FormatBool(a.Dropbear), strconv.FormatBool(b.Dropbear))
	var old, now manifest.Groundhog
	if a.Groundhog != nil {
		old = *a.Groundhog
	}
	if b.Groundhog != nil {
		now = *b.Groundhog
	}
	fact("tool", old.Tool, now.Tool)
	fact("build", old.Build, now.Build)
	fact("board", old.Board, now.Board)
	fact(factShadowed, asideText(a.Shadowed), asideText(b.Shadowed))
	fact(factIgnored, asideText(a.Ignored), asideText(b.Ignored))
}

// The facts that are texts of entries, with this between them.
const (
	factShadowed = "shadowed"
	factIgnored  = "ignored"
	asideBetween = ", "
)

// asideText is a short text of entries that the kernel does not end up with.
func asideText(list []manifest.Entry) string {
	var names []string
	for i := range list {
		e := &list[i]
		names = append(names, fmt.Sprintf("%s %s %.12s%s", e.Path, e.Mode, e.SHA256, e.Target))
	}
	slices.Sort(names)
	return strings.Join(names, asideBetween)
}

// compareKeys compares by fingerprint and comment; where a file lies that has a random
// name in its path does not matter.
func (c *Changes) compareKeys(role string, a, b []manifest.Key) {
	id := func(k manifest.Key) [4]string {
		e := manifest.Entry{Path: k.Path}
		return [4]string{cmp.Or(inHome(&e), k.Path), k.Type, k.Fingerprint, k.Comment}
	}
	count := map[[4]string]int{}
	for _, k := range a {
		count[id(k)]++
	}
	for _, k := range b {
		if count[id(k)]--; count[id(k)] < 0 {
			c.Keys = append(c.Keys, KeyChange{Added, role, k})
		}
	}
	for _, k := range a {
		if count[id(k)] > 0 {
			count[id(k)]--
			c.Keys = append(c.Keys, KeyChange{Removed, role, k})
		}
	}
}

func (c *Changes) comparePatches(a, b []manifest.Patch) {
	old := map[string]manifest.Patch{}
	for _, p := range a {
		old[p.Name] = p
	}
	for _, p := range b {
		o, was := old[p.Name]
		delete(old, p.Name)
		switch {
		case !was:
			c.Patches = append(c.Patches, PatchChange{Kind: Added, Name: p.Name, New: p.Summary})
		case o.Summary != p.Summary || !slices.Equal(c.commonPlaces(o.Paths), c.commonPlaces(p.Paths)):
			c.Patches = append(c.Patches, PatchChange{Changed, p.Name, o.Summary, p.Summary})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		c.Patches = append(c.Patches, PatchChange{Kind: Removed, Name: name, Old: old[name].Summary})
	}
}

// commonPlaces is paths in the form that both sides have in common. Random homes are all alike. What lies under a kernel that became another one has one
// name on both sides; a module's has no directory in it.
func (c *Changes) commonPlaces(paths []string) []string {
	var list []string
	for _, p := range paths {
		e := &manifest.Entry{Path: p, Type: manifest.File}
		under, kernel := c.underKernel(p)
		if name := moduleOf(e); kernel >= 0 && name != "" {
			under = fmt.Sprint("module ", kernel, " ", name)
		}
		list = append(list, cmp.Or(inHome(e), under))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (c *Changes) compareSegments(a, b []manifest.Segment) {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			c.Segments = append(c.Segments, SegmentChange{Kind: Added, Index: i, New: &b[i]})
		case i >= len(b):
			c.Segments = append(c.Segments, SegmentChange{Kind: Removed, Index: i, Old: &a[i]})
		case a[i].Compression != b[i].Compression:
			c.Segments = append(c.Segments, SegmentChange{Changed, i, &a[i], &b[i]})
		}
	}
}

// compareModules finds those whose name is on one side only, whatever directory of a
// kernel's version they lie in.
func (c *Changes) compareModules(a, b []manifest.Entry, changes []Change) {
	come, gone := map[string]bool{}, map[string]bool{}
	for i := range changes {
		if changes[i].Kind != Changed {
			noteModule(come, changes[i].New)
			noteModule(gone, changes[i].Old)
		}
	}
	c.addModules(Added, come, a)
	c.addModules(Removed, gone, b)
}

func noteModule(names map[string]bool, e *manifest.Entry) {
	if e == nil {
		return
	}
	if name := moduleOf(e); name != "" {
		names[name] = true
	}
}

// addModules adds those names that no entry of the other side has.
func (c *Changes) addModules(kind Kind, names map[string]bool, other []manifest.Entry) {
	if len(names) == 0 {
		return
	}
	for i := range other {
		if name := moduleOf(&other[i]); name != "" {
			delete(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.Modules = append(c.Modules, ModuleChange{kind, name})
	}
}

// moduleOf is the name of the kernel module that an entry is, as lsmod(8) has
// it, or "".
func moduleOf(e *manifest.Entry) string {
	if e.Type != manifest.File || !strings.Contains(e.Path, ".ko") {
		return ""
	}
	name, ok := debian.ModuleName(e.Path)
	if !ok {
		return ""
	}
	return name
}
