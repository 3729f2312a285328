package diff

import (
	"cmp"
	"path"
	"slices"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// smallest is the share of the whole, one part in so many, below which a
// directory cannot be seen on the page's map.
const smallest = 2000

// node is a directory of one package: its bytes before and after.
type node struct {
	Package string `json:"package"`
	Dir     string `json:"dir"` // "" of directories that are too small to be seen
	Old     int64  `json:"old"`
	New     int64  `json:"new"`
	Files   int    `json:"files"` // on the new side
}

// sizeMap adds up the bytes of both sides by package and directory.
func sizeMap(a, b *manifest.Manifest) []node {
	s := sizes{nodes: map[sizeKey]*node{}, before: byPath(a), after: byPath(b)}
	for i := range b.Entries {
		e := &b.Entries[i]
		s.add(e, e, s.before[e.Path], func(n *node) { n.New += e.Size; n.Files++ })
		s.total += ownSize(e)
	}
	for i := range a.Entries {
		e := &a.Entries[i]
		s.add(e, s.after[e.Path], e, func(n *node) { n.Old += e.Size })
	}
	return s.list()
}

type sizeKey struct{ pkg, dir string }

type sizes struct {
	nodes         map[sizeKey]*node
	before, after map[string]*manifest.Entry
	total         int64
}

func byPath(m *manifest.Manifest) map[string]*manifest.Entry {
	all := make(map[string]*manifest.Entry, len(m.Entries))
	for i := range m.Entries {
		all[m.Entries[i].Path] = &m.Entries[i]
	}
	return all
}

// add counts e, which is one of its new and its old self, where its change is
// listed.
func (s *sizes) add(e, now, old *manifest.Entry, count func(*node)) {
	if e.Type != manifest.File || e.LinkOf != "" {
		return
	}
	g := groupOf(&Change{New: now, Old: old})
	k := sizeKey{groupName(g.origin, g.name), path.Dir(e.Path)}
	if s.nodes[k] == nil {
		s.nodes[k] = &node{Package: show.Printable(k.pkg), Dir: show.Printable(k.dir)}
	}
	count(s.nodes[k])
}

// list is the nodes, the largest first; small ones of a package are one.
func (s *sizes) list() []node {
	list := []node{}
	small := map[string]node{}
	for _, n := range s.nodes {
		if max(n.Old, n.New) >= s.total/smallest {
			list = append(list, *n)
			continue
		}
		sum := small[n.Package]
		small[n.Package] = node{n.Package, "", sum.Old + n.Old, sum.New + n.New, sum.Files + n.Files}
	}
	for _, n := range small {
		list = append(list, n)
	}
	slices.SortFunc(list, func(x, y node) int {
		return cmp.Or(cmp.Compare(max(y.Old, y.New), max(x.Old, x.New)), cmp.Compare(x.Package, y.Package), cmp.Compare(x.Dir, y.Dir))
	})
	return list
}
