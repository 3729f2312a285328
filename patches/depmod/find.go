package depmod

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

// findModules reads the modules among files, in depmod's order: as modules.order has them, and then the rest as they come out of
// its table.
func findModules(files map[string][]byte) ([]*module, error) {
	byName := map[string]*module{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if _, is := debian.ModuleName(file); !is || isElsewhere(file) {
			continue
		}
		m := &module{path: file, name: moduleName(file), rank: 1}
		if old := byName[m.name]; old == nil || isUpdate(file) && !isUpdate(old.path) {
			byName[m.name] = m
		}
	}
	if len(byName) > maxModules {
		return nil, fmt.Errorf("%d modules: %w", len(byName), ErrTooMuch)
	}
	modules := slices.Collect(maps.Values(byName))
	sortAsTable(modules, 512, func(m *module) string { return m.name })
	rankModules(modules, files["modules.order"])
	slices.SortStableFunc(modules, func(a, b *module) int { return cmp.Compare(a.rank, b.rank) })
	for i, m := range modules {
		m.order = i
	}
	return modules, readModules(modules, files)
}

// isElsewhere reports whether a file is below a link to the kernel's source, which depmod passes over.
func isElsewhere(file string) bool {
	return slices.ContainsFunc(strings.Split(path.Dir(file), "/"), func(dir string) bool { return dir == "build" || dir == "source" })
}

func isUpdate(file string) bool { return strings.HasPrefix(file, "updates/") }

// rankModules gives those that are in modules.order, a path a line, their places.
func rankModules(modules []*module, order []byte) {
	const maxLine = 4095
	byPath := map[string]*module{}
	for _, m := range modules {
		plain := m.path
		for _, suffix := range []string{".gz", ".xz", ".zst"} {
			plain = strings.TrimSuffix(plain, suffix)
		}
		byPath[plain] = m
	}
	rank := -len(modules)
	var ranked []*module
	for line := range strings.Lines(string(order)) {
		name, whole := strings.CutSuffix(line, "\n")
		if !whole || len(line) > maxLine { // depmod takes the list for damaged, and none of it
			for _, m := range ranked {
				m.rank = 1
			}
			return
		}
		if m := byPath[name]; m != nil && m.rank == 1 {
			m.rank = rank
			ranked = append(ranked, m)
			rank++
		}
	}
}

// readModules reads all modules, on all cores.
func readModules(modules []*module, files map[string][]byte) error {
	var next, plain, names atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for plain.Load() <= maxPlain && names.Load() <= maxNames {
				i := int(next.Add(1)) - 1
				if i >= len(modules) {
					return
				}
				m := modules[i]
				b, err := sysroot.UnpackModule(m.path, files[m.path])
				plain.Add(int64(len(b)))
				if err != nil {
					m.unread = err
					continue
				}
				o, err := sysroot.ParseModuleObject(b)
				if err != nil {
					m.unread = err
					continue
				}
				m.fields, m.exports, m.imports = o.Fields, o.Exports, o.Imports
				for _, list := range [][]string{o.Fields, o.Exports, o.Imports} {
					for _, name := range list {
						names.Add(int64(len(name)) + 16)
					}
				}
			}
		})
	}
	group.Wait()
	if plain.Load() > maxPlain || names.Load() > maxNames {
		return fmt.Errorf("modules of %d bytes, with %d bytes of names: %w", plain.Load(), names.Load(), ErrTooMuch)
	}
	return nil
}

// sortAsTable sorts a list as it comes out of kmod's hash table with so many buckets, a power of two: bucket by bucket, each in
// the order of its keys.
func sortAsTable[T any](list []T, buckets uint32, key func(T) string) {
	type place struct {
		bucket uint32
		key    string
		value  T
	}
	places := make([]place, len(list))
	for i, v := range list {
		places[i] = place{superFast(key(v)) % buckets, key(v), v}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), strings.Compare(a.key, b.key))
	})
	for i, p := range places {
		list[i] = p.value
	}
}

// superFast is Paul Hsieh's hash of that name, on a little-endian machine with signed characters.
func superFast(key string) uint32 {
	pair := func(at int) uint32 { return uint32(key[at]) | uint32(key[at+1])<<8 }
	single := func(at int) uint32 { return uint32(int32(int8(key[at]))) }
	h := uint32(len(key))
	at := 0
	for ; len(key)-at >= 4; at += 4 {
		h += pair(at)
		h = h<<16 ^ pair(at+2)<<11 ^ h
		h += h >> 11
	}
	switch len(key) - at {
	case 3:
		h += pair(at)
		h ^= h << 16
		h ^= single(at+2) << 18
		h += h >> 11
	case 2:
		h += pair(at)
		h ^= h << 11
		h += h >> 17
	case 1:
		h += single(at)
		h ^= h << 10
		h += h >> 1
	}
	h ^= h << 3
	h += h >> 5
	h ^= h << 4
	h += h >> 17
	h ^= h << 25
	return h + h>>6
}
