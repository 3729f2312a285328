package diff

import (
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// Shares, one part in so many, below which a file has no tile of its own on the page's map: of its package, and of the whole.
const (
	smallOfPackage = 500
	smallOfAll     = 100_000
)

// bytesOf is a size on either side: in memory, and its share of the file, which is that of its segment.
type bytesOf struct{ Old, New, OldPacked, NewPacked int64 }

func (b *bytesOf) addBytes(o bytesOf) {
	b.Old, b.New = b.Old+o.Old, b.New+o.New
	b.OldPacked, b.NewPacked = b.OldPacked+o.OldPacked, b.NewPacked+o.NewPacked
}

func (b *bytesOf) larger() int64 { return max(b.Old, b.New) }

// mapNode is a file of one package, or the sum of what is too small to be seen below a directory.
type mapNode struct {
	pkg   int // in pageData.Packages
	path  string
	small bool
	files int // on the new side
	bytesOf
}

// MarshalJSON writes a node as a list: there are thousands of them.
func (n mapNode) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{n.pkg, n.path, n.small, n.files, n.Old, n.New, n.OldPacked, n.NewPacked})
}

// pagePackage is a package on either side, or what has none.
type pagePackage struct {
	Name    string `json:"name"`
	Version string `json:"version"` // "1.2 -> 1.3"
	bytesOf
}

// packageSizes adds up the bytes of both sides by package, directory and file. What a kernel or a package that became another one
// had lies where the new one has it.
type packageSizes struct {
	c       *Changes
	rename  map[groupKey]groupKey
	came    map[string]string // old path to new path
	after   map[string]*manifest.Entry
	packed  func(*manifest.Entry) int64 // of a side
	index   map[string]int              // of packages, by name
	list    []pagePackage
	nodes   map[nodeKey]*mapNode
	total   bytesOf
	before  map[string]*manifest.Entry
	newPack func(*manifest.Entry) int64
}

type nodeKey struct {
	pkg  int
	path string
}

func sizesOf(c *Changes, a, b *manifest.Manifest) *packageSizes {
	s := &packageSizes{c: c, rename: renamedPackages(a.Packages, b.Packages, c.Kernels), came: map[string]string{}, before: byPath(a), after: byPath(b),
		packed: packedShare(a), newPack: packedShare(b), index: map[string]int{}, nodes: map[nodeKey]*mapNode{}}
	for _, ch := range c.Each {
		if ch.From != "" {
			s.came[ch.From] = ch.Path
		}
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		s.addEntry(e.Path, &Change{New: e, Old: s.before[e.Path]}, e, bytesOf{New: e.Size, NewPacked: s.newPack(e)}, 1)
	}
	for i := range a.Entries {
		e := &a.Entries[i]
		under, _ := c.underKernel(e.Path)
		at := cmp.Or(s.came[e.Path], under)
		s.addEntry(at, &Change{New: s.after[at], Old: e}, e, bytesOf{Old: e.Size, OldPacked: s.packed(e)}, 0)
	}
	for i := range c.Packages {
		g := &c.Packages[i]
		s.list[s.packageNumber(groupKey{g.Origin, g.Name, g.Architecture})].Version = show.Printable(pageVersion(g))
	}
	return s
}

// pageVersion is a group's versions, and its old name if it had another.
func pageVersion(g *Group) string {
	switch {
	case g.Was != "":
		return "was " + g.Was + " " + g.Old + ", now " + g.New
	case manifest.OriginKind(g.Origin) != manifest.FromPackage:
		return ""
	case g.Old == g.New:
		return g.New
	}
	return versionsOf(g)
}

func byPath(m *manifest.Manifest) map[string]*manifest.Entry {
	all := make(map[string]*manifest.Entry, len(m.Entries))
	for i := range m.Entries {
		all[m.Entries[i].Path] = &m.Entries[i]
	}
	return all
}

// packedShare says what an entry's share of the file is: nothing is known of that but how far its segment as a whole was
// compressed.
func packedShare(m *manifest.Manifest) func(*manifest.Entry) int64 {
	return func(e *manifest.Entry) int64 {
		if e.Segment < 0 || e.Segment >= len(m.Segments) || m.Segments[e.Segment].Unpacked <= 0 {
			return 0
		}
		seg := &m.Segments[e.Segment]
		return int64(float64(ownSize(e)) * float64(seg.Size) / float64(seg.Unpacked))
	}
}

// packageNumber is a group's number, under its new name. Two architectures of a package are one.
func (s *packageSizes) packageNumber(k groupKey) int {
	if now, ok := s.rename[k]; ok {
		k = now
	}
	name := groupName(k.origin, k.name)
	i, ok := s.index[name]
	if !ok {
		i = len(s.list)
		s.index[name] = i
		s.list = append(s.list, pagePackage{Name: show.Printable(name)})
	}
	return i
}

// addEntry counts e, which is one of its new and its old self, where its change is listed.
func (s *packageSizes) addEntry(at string, ch *Change, e *manifest.Entry, by bytesOf, files int) {
	if e.Type != manifest.File || e.LinkOf != "" {
		return
	}
	k := nodeKey{s.packageNumber(groupOf(ch)), at}
	if s.nodes[k] == nil {
		s.nodes[k] = &mapNode{pkg: k.pkg, path: at}
	}
	s.nodes[k].addBytes(by)
	s.nodes[k].files += files
	s.list[k.pkg].addBytes(by)
	s.total.addBytes(by)
}

// mapTiles is the nodes, the largest first; small files are one with their directory, small directories with that above them.
func (s *packageSizes) mapTiles() []mapNode {
	nodes := s.nodes
	for again := true; again; {
		again = false
		up := map[nodeKey]*mapNode{}
		for k, n := range nodes {
			small := n.small
			if k.path != "/" && (n.larger() < s.list[n.pkg].larger()/smallOfPackage || n.larger() < s.total.larger()/smallOfAll) {
				k.path = strings.TrimPrefix(path.Dir(strings.TrimSuffix(k.path, "/")), ".") + "/"
				small, again = true, true
			}
			if up[k] == nil {
				up[k] = &mapNode{pkg: k.pkg, path: show.Printable(strings.TrimSuffix(k.path, "/")), small: small}
			}
			up[k].addBytes(n.bytesOf)
			up[k].files += n.files
		}
		nodes = up
	}
	list := make([]mapNode, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, *n)
	}
	slices.SortFunc(list, func(x, y mapNode) int {
		return cmp.Or(cmp.Compare(y.larger(), x.larger()), cmp.Compare(x.pkg, y.pkg), cmp.Compare(x.path, y.path), cmp.Compare(x.files, y.files))
	})
	return list
}
