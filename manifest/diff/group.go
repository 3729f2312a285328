package diff

import (
	"cmp"
	"slices"

	"groundhog/manifest"
)

// groupKey is what changes are sorted by.
type groupKey struct{ origin, name, arch string }

// groupByPackage sorts the changes by package. A side without attribution takes that of
// the other.
func (c *Changes) groupByPackage(a, b *manifest.Manifest, rename map[groupKey]groupKey, changes []Change) {
	groups := map[groupKey]*Group{}
	get := func(k groupKey) *Group {
		was := ""
		if now, ok := rename[k]; ok {
			k, was = now, k.name
		}
		if groups[k] == nil {
			groups[k] = &Group{Origin: k.origin, Name: k.name, Architecture: k.arch, Entries: []Change{}}
		}
		if was != "" {
			groups[k].Was = was
		}
		return groups[k]
	}
	for _, ch := range changes {
		g := get(groupOf(&ch))
		g.Growth += ch.Growth
		if ch.Kind != Changed || !ch.Folded() {
			g.Files++
		}
		g.Entries = append(g.Entries, ch)
	}
	c.addVersions(a, b, get)
	c.Packages = make([]Group, 0, len(groups))
	for _, g := range groups {
		if len(g.Entries) > 0 || g.Old != g.New || g.Was != "" {
			c.Packages = append(c.Packages, *g)
		}
	}
	slices.SortFunc(c.Packages, func(x, y Group) int {
		return cmp.Or(cmp.Compare(y.Growth, x.Growth), cmp.Compare(x.Origin, y.Origin),
			cmp.Compare(x.Name, y.Name), cmp.Compare(x.Architecture, y.Architecture))
	})
	for i := range c.Packages {
		slices.SortFunc(c.Packages[i].Entries, func(x, y Change) int {
			return cmp.Or(cmp.Compare(y.Growth, x.Growth), cmp.Compare(x.Path, y.Path), cmp.Compare(x.Kind, y.Kind))
		})
	}
}

// addVersions notes the versions of all packages. They are compared only where
// both sides were attributed: a package that only one of them knows of is news
// only then.
func (c *Changes) addVersions(a, b *manifest.Manifest, get func(groupKey) *Group) {
	if !c.Old.Origins || !c.New.Origins {
		for _, p := range append(slices.Clone(a.Packages), b.Packages...) {
			g := get(packageKey(p))
			g.Old, g.New = p.Version, p.Version
		}
		return
	}
	for _, p := range a.Packages {
		get(packageKey(p)).Old = p.Version
	}
	for _, p := range b.Packages {
		get(packageKey(p)).New = p.Version
	}
}

// versionsChanged reports whether a package came, went, or has another version.
func (c *Changes) versionsChanged() bool {
	return slices.ContainsFunc(c.Packages, func(g Group) bool { return g.Old != g.New || g.Was != "" })
}

// groupOf is where the new entry comes from, or the old one where the new one
// does not say.
func groupOf(c *Change) groupKey {
	for _, e := range []*manifest.Entry{c.New, c.Old} {
		if e != nil && e.Origin != nil {
			return groupKey{string(e.Origin.Kind), e.Origin.Name, e.Origin.Architecture}
		}
	}
	return groupKey{}
}

// Each yields all changes of entries, package by package.
func (c *Changes) Each(yield func(*Group, *Change) bool) {
	for i := range c.Packages {
		for j := range c.Packages[i].Entries {
			if !yield(&c.Packages[i], &c.Packages[i].Entries[j]) {
				return
			}
		}
	}
}
