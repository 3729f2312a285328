// Package depmod makes the indexes of a kernel's modules that modprobe(8) reads, as depmod(8) of kmod makes them, byte for byte:
// modules.dep, modules.alias, modules.symbols, each also as a trie (.bin), modules.softdep, modules.weakdep and modules.devname.
// It reads no configuration (depmod.d(5)): modules in updates come before all others, as depmod has it without one.
//
// It is written after what depmod of kmod 28 to 34 does, and judged by it.
package depmod

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds of what is indexed; a whole kernel of Debian's comes to some 4,000 modules of 500 MB, and to 3 MB of each index.
const (
	maxModules = 1<<16 - 1 // depmod's own
	maxPlain   = 4 << 30   // bytes of all modules, unpacked
	maxNames   = 128 << 20 // bytes of all names in them
	maxIndex   = 64 << 20  // bytes of an index
)

var (
	// ErrCircle is that modules need each other in a circle, which none can load.
	ErrCircle = errors.New("modules that need each other")
	// ErrTooMuch is that the modules are more than any kernel's.
	ErrTooMuch = errors.New("more than is indexed")
)

// A Layout is how the nodes of a trie lie in its file; every modprobe reads both.
type Layout int

const (
	ChildrenFirst Layout = iota // depmod before kmod 34
	ParentsFirst
)

// LayoutOf is that of an index.
func LayoutOf(index []byte) Layout {
	if len(index) >= headSize && string(index[9:headSize]) == "\x00\x00\x0c" { // the root is behind the head
		return ParentsFirst
	}
	return ChildrenFirst
}

// A module is a file that has one.
type module struct {
	path, name string
	fields     []string
	exports    []string
	imports    []string
	unread     error // why it says nothing of itself

	order     int       // where it stands among all
	rank      int       // the place that modules.order gives it: below 0 for those that are in it
	needs     []*module // directly, in the order in which they were found
	users     int       // how many need it directly
	depth     int       // a smaller number than those that it needs
	collected int       // one more than the order of the last module among whose needs it was counted
}

// Unread is a file that is a module by its name and cannot be read as one: it was cut, or never was one.
type Unread struct {
	Path string
	Why  error
}

// Indexes are the indexes of modules, by the indexes' names. files is the modules and modules.order, by their paths below
// lib/modules/RELEASE. A file that has a module's name and cannot be read as one is listed without symbols and aliases, as depmod lists
// it, and is among unread.
func Indexes(files map[string][]byte, layout Layout) (made map[string][]byte, unread []Unread, err error) {
	modules, err := findModules(files)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range modules {
		if m.unread != nil {
			unread = append(unread, Unread{m.path, m.unread})
		}
	}
	slices.SortFunc(unread, func(a, b Unread) int { return strings.Compare(a.Path, b.Path) })
	owners := map[string]*module{}
	for _, m := range modules {
		for _, symbol := range m.exports {
			owners[symbol] = m
		}
	}
	for _, m := range modules {
		m.findNeeds(owners)
	}
	if err := sortByNeeds(modules); err != nil {
		return nil, nil, err
	}
	made, err = writeAll(modules, owners, layout)
	return made, unread, err
}

// findNeeds finds the modules that have what m imports.
func (m *module) findNeeds(owners map[string]*module) {
	for _, symbol := range m.imports {
		owner := owners[strings.TrimPrefix(symbol, ".")] // a function's entry on ppc64
		if owner != nil && owner.collected != m.order+1 {
			owner.collected = m.order + 1
			m.needs = append(m.needs, owner)
			owner.users++
		}
	}
	m.imports = nil
	for _, n := range m.needs {
		n.collected = 0
	}
}

// sortByNeeds numbers the modules so that each comes before those that it needs: the order of a line of modules.dep.
func sortByNeeds(modules []*module) error {
	users := make([]int, len(modules))
	var free []*module
	for i, m := range modules {
		if users[i] = m.users; m.users == 0 {
			free = append(free, m)
		}
	}
	done := 0
	for ; len(free) > 0; done++ {
		m := free[len(free)-1]
		free = free[:len(free)-1]
		m.depth = done
		for _, n := range m.needs {
			if users[n.order]--; users[n.order] == 0 {
				free = append(free, n)
			}
		}
	}
	if done == len(modules) {
		return nil
	}
	left := slices.DeleteFunc(slices.Clone(modules), func(m *module) bool { return users[m.order] == 0 })
	return fmt.Errorf("%w: %s", ErrCircle, strings.Join(findCircle(left), ", "))
}

// findCircle is the paths of modules of which each needs the next, and the last one the first. Each of left is needed by another of
// them, so that there is such a circle.
func findCircle(left []*module) []string {
	neededBy := map[*module]*module{}
	for _, m := range left {
		for _, n := range m.needs {
			neededBy[n] = m
		}
	}
	seen := map[*module]bool{}
	m := left[0]
	for ; !seen[m]; m = neededBy[m] {
		seen[m] = true
	}
	var circle []string
	for at := neededBy[m]; ; at = neededBy[at] {
		if circle = append(circle, at.path); at == m {
			slices.Reverse(circle)
			return circle
		}
	}
}

// allNeeds are the modules that m needs, and those that they need.
func (m *module) allNeeds() []*module {
	var all []*module
	var collect func(*module)
	collect = func(from *module) {
		for _, n := range from.needs {
			if n.collected != m.order+1 {
				n.collected = m.order + 1
				all = append(all, n)
				collect(n)
			}
		}
	}
	collect(m)
	slices.SortFunc(all, func(a, b *module) int { return cmp.Compare(a.depth, b.depth) })
	return all
}

// moduleName is the name of the module that a file holds, as depmod has it: to the first dot, with "_" for every "-".
func moduleName(file string) string {
	base, _, _ := strings.Cut(path.Base(file), ".")
	return strings.ReplaceAll(base, "-", "_")
}
