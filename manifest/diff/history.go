package diff

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// Build is one of several builds, in order of time: what a history tells of it. [BuildOf] makes one.
type Build struct {
	name     string
	side     Side
	cards    *manifest.Manifest // without its entries: what is told of the first and the last
	kernels  []string
	packages []manifest.Package // name, architecture and version alone
	groups   []buildGroup
	packed   bool
}

// buildGroup is the files of a package, or of what has none.
type buildGroup struct {
	groupKey
	unpacked, packed int64
}

// Bounds of a history: of a build how many packages it has and how long their names and versions are together, and of a page how many places
// its table has. A year of Debian's initramfs, daily, has some 40,000.
const (
	maxBuildPackages = 20000
	maxBuildText     = 4 << 20
	maxPlaces        = 1 << 20
)

// BuildOf is what a history tells of a build. The manifest is not kept.
func BuildOf(name string, m *manifest.Manifest) (Build, error) {
	lean := *m
	lean.Entries, lean.Shadowed, lean.Ignored, lean.Packages = nil, nil, nil, nil
	b := Build{name: name, side: sideOf(m), kernels: m.Kernels, packed: len(m.Segments) > 0, cards: &lean}
	text := len(strings.Join(m.Kernels, ""))
	for _, p := range m.Packages {
		b.packages = append(b.packages, manifest.Package{Name: p.Name, Architecture: p.Architecture, Version: p.Version})
		text += len(p.Name) + len(p.Architecture) + len(p.Version)
	}
	index, packed := map[groupKey]int{}, packedShare(m)
	for j := range m.Entries {
		e := &m.Entries[j]
		if e.Type != manifest.File || e.LinkOf != "" {
			continue
		}
		k := groupOf(&Change{New: e})
		at, ok := index[k]
		if !ok {
			at = len(b.groups)
			index[k] = at
			b.groups = append(b.groups, buildGroup{groupKey: k})
			text += len(k.origin) + len(k.name) + len(k.arch)
		}
		b.groups[at].unpacked += e.Size
		b.groups[at].packed += packed(e)
	}
	if max(len(b.packages), len(b.groups)) > maxBuildPackages || text > maxBuildText {
		return Build{}, fmt.Errorf("build %q: it has %d packages, with %d bytes of names and versions: a history has no room for more than %d and %d",
			name, max(len(b.packages), len(b.groups)), text, maxBuildPackages, maxBuildText)
	}
	return b, nil
}

// WriteHistory writes a page for a browser, as [Changes.WriteHTML] does, of two or more builds: the size of the whole and of
// each package over time. A package whose name carries a version, and a kernel's, is one with what it became.
func WriteHistory(w io.Writer, builds []Build) error {
	h, err := historyOf(builds)
	if err != nil {
		return err
	}
	first, last := builds[0], builds[len(builds)-1]
	c := &Changes{Old: first.side, New: last.side}
	return writePage(w, "history", fmt.Sprintf("%d builds: %s → %s", len(builds), first.name, last.name), map[string]any{
		"Cards":  c.figureCards(first.cards, last.cards),
		"Builds": h.Builds,
		"Totals": h.packageTotals(),
		"Data":   h,
	})
}

// buildHistory is what the page's script works on. A package has a size and a version for each build.
type buildHistory struct {
	Packed   bool             `json:"packed"`
	Builds   []historyBuild   `json:"builds"`
	Packages []historyPackage `json:"packages"`
}

type historyBuild struct {
	Name    string `json:"name"`
	File    int64  `json:"file"`
	Content int64  `json:"content"`
	// Against the build before: of the first one 0.
	FileGrowth    int64 `json:"-"`
	ContentGrowth int64 `json:"-"`
}

type historyPackage struct {
	Name     string   `json:"name"`
	Unpacked []int64  `json:"unpacked"`
	Packed   []int64  `json:"packed"`
	Versions []string `json:"versions"`
}

func historyOf(builds []Build) (*buildHistory, error) {
	h := &buildHistory{Packed: true, Packages: []historyPackage{}}
	index := map[string]int{}
	became := becomesNext(builds)
	packageAt := func(i int, k groupKey) *historyPackage {
		for ; i < len(became); i++ {
			if now, ok := became[i][k]; ok {
				k = now
			}
		}
		name := groupName(k.origin, k.name)
		at, ok := index[name]
		if !ok {
			at = len(h.Packages)
			index[name] = at
			n := len(builds)
			h.Packages = append(h.Packages, historyPackage{show.Printable(name), make([]int64, n), make([]int64, n), make([]string, n)})
		}
		return &h.Packages[at]
	}
	for i, b := range builds {
		h.Packed = h.Packed && b.packed
		one := historyBuild{Name: show.Printable(b.name), File: b.side.Size, Content: b.side.Content}
		if i > 0 {
			one.FileGrowth, one.ContentGrowth = one.File-h.Builds[i-1].File, one.Content-h.Builds[i-1].Content
		}
		h.Builds = append(h.Builds, one)
		for _, g := range b.groups {
			p := packageAt(i, g.groupKey)
			p.Unpacked[i] += g.unpacked
			p.Packed[i] += g.packed
		}
		for _, p := range b.packages {
			packageAt(i, packageKey(p)).Versions[i] = show.Printable(p.Version)
		}
		if n := len(h.Packages) * len(builds); n > maxPlaces {
			return nil, fmt.Errorf("a history of %d packages over %d builds: more than %d places", len(h.Packages), len(builds), maxPlaces)
		}
	}
	return h, nil
}

// becomesNext has, for each build but the last, which of its packages became which package of the next build.
func becomesNext(builds []Build) []map[groupKey]groupKey {
	var all []map[groupKey]groupKey
	for i := range len(builds) - 1 {
		a, b := builds[i], builds[i+1]
		all = append(all, renamedPackages(a.packages, b.packages, pairKernels(a.kernels, b.kernels)))
	}
	return all
}

// packageTotals are the packages from the first to the last build, where no script runs, those that changed most first.
func (h *buildHistory) packageTotals() []packageTotal {
	var list []packageTotal
	for _, p := range h.Packages {
		last := len(p.Unpacked) - 1
		t := packageTotal{pagePackage: pagePackage{Name: p.Name, bytesOf: bytesOf{p.Unpacked[0], p.Unpacked[last], p.Packed[0], p.Packed[last]}}}
		t.Growth, t.Packed = t.New-t.Old, t.NewPacked-t.OldPacked
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(x, y packageTotal) int {
		return cmp.Or(cmp.Compare(sizeOf(y.Growth), sizeOf(x.Growth)), cmp.Compare(x.Name, y.Name))
	})
	return list[:min(len(list), mostTotals)]
}
