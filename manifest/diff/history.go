package diff

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// Build is one of several builds, in order of time.
type Build struct {
	Name     string
	Manifest *manifest.Manifest
}

// WriteHistory writes a page for a browser, as [Changes.WriteHTML] does, of two or more builds: the size of the whole and of
// each package over time. A package whose name carries a version, and a kernel's, is one with what it became.
func WriteHistory(w io.Writer, builds []Build) error {
	h := historyOf(builds)
	first, last := builds[0], builds[len(builds)-1]
	c := &Changes{Old: sideOf(first.Manifest), New: sideOf(last.Manifest)}
	return writePage(w, "history", fmt.Sprintf("%d builds: %s → %s", len(builds), first.Name, last.Name), map[string]any{
		"Cards":  c.cards(first.Manifest, last.Manifest),
		"Builds": h.Builds,
		"Totals": h.totals(),
		"Data":   h,
	})
}

// history is what the page's script works on. A package has a size and a version for each build.
type history struct {
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

func historyOf(builds []Build) *history {
	h := &history{Packed: true, Packages: []historyPackage{}}
	index := map[string]int{}
	became := becoming(builds)
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
		m := b.Manifest
		side, packed := sideOf(m), packing(m)
		h.Packed = h.Packed && len(m.Segments) > 0
		one := historyBuild{Name: show.Printable(b.Name), File: side.Size, Content: side.Content}
		if i > 0 {
			one.FileGrowth, one.ContentGrowth = one.File-h.Builds[i-1].File, one.Content-h.Builds[i-1].Content
		}
		h.Builds = append(h.Builds, one)
		for j := range m.Entries {
			if e := &m.Entries[j]; e.Type == manifest.File && e.LinkOf == "" {
				p := packageAt(i, groupOf(&Change{New: e}))
				p.Unpacked[i] += e.Size
				p.Packed[i] += packed(e)
			}
		}
		for _, p := range m.Packages {
			packageAt(i, packageKey(p)).Versions[i] = show.Printable(p.Version)
		}
	}
	return h
}

// becoming has for each build but the last which packages of it became which of the next.
func becoming(builds []Build) []map[groupKey]groupKey {
	var all []map[groupKey]groupKey
	for i := range len(builds) - 1 {
		a, b := builds[i].Manifest, builds[i+1].Manifest
		all = append(all, renamed(a.Packages, b.Packages, pairKernels(a.Kernels, b.Kernels)))
	}
	return all
}

// totals are the packages from the first to the last build, where no script runs, those that changed most first.
func (h *history) totals() []total {
	var list []total
	for _, p := range h.Packages {
		last := len(p.Unpacked) - 1
		t := total{pagePackage: pagePackage{Name: p.Name, bytesOf: bytesOf{p.Unpacked[0], p.Unpacked[last], p.Packed[0], p.Packed[last]}}}
		t.Growth, t.Packed = t.New-t.Old, t.NewPacked-t.OldPacked
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(x, y total) int {
		return cmp.Or(cmp.Compare(sizeOf(y.Growth), sizeOf(x.Growth)), cmp.Compare(x.Name, y.Name))
	})
	return list[:min(len(list), mostTotals)]
}
