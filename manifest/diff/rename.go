package diff

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"groundhog/manifest"
)

// versionInName is the part of a package's name, or of a path, that is a version: the 3 of libssl3, the 1.1 of libssl1.1, the
// 3.11 of libpython3.11-minimal, the 6.1.0-50 of linux-image-6.1.0-50-amd64, with the marks of library transitions.
var versionInName = regexp.MustCompile(`[0-9]+([.+-]?[0-9]+)*(t64)?`)

func nameStem(name string) string { return versionInName.ReplaceAllLiteralString(name, "#") }

// renamedPackages finds packages whose name carries a version and that came as another one went: there is one such package on
// either side, or it is named after a kernel that became another one. The result leads from the old one to the new one.
func renamedPackages(a, b []manifest.Package, kernels []KernelChange) map[groupKey]groupKey {
	only := func(list, other []manifest.Package) map[groupKey][]groupKey {
		there := map[groupKey]bool{}
		for _, p := range other {
			there[packageKey(p)] = true
		}
		found := map[groupKey][]groupKey{}
		for _, p := range list {
			if k := packageKey(p); !there[k] && nameStem(p.Name) != p.Name {
				s := groupKey{k.origin, nameStem(p.Name), k.arch}
				found[s] = append(found[s], k)
			}
		}
		return found
	}
	gone, come := only(a, b), only(b, a)
	to := map[groupKey]groupKey{}
	for _, k := range kernels { // 6.1.0-56-amd64 and 6.12.94+deb13-amd64 have no stem in common
		for _, old := range slices.Concat(slices.Collect(maps.Values(gone))...) {
			now := groupKey{old.origin, strings.ReplaceAll(old.name, k.Old, k.New), old.arch}
			if slices.Contains(come[groupKey{old.origin, nameStem(now.name), old.arch}], now) {
				to[old] = now
			}
		}
	}
	for s, old := range gone {
		if now := come[s]; len(old) == 1 && len(now) == 1 && to[old[0]] == (groupKey{}) {
			to[old[0]] = now[0]
		}
	}
	return to
}

func packageKey(p manifest.Package) groupKey {
	return groupKey{string(manifest.FromPackage), p.Name, p.Architecture}
}

// renamedFile is a key for the files of packages that were renamed: libssl.so.1.1 and libssl.so.3.
func renamedFile(to map[groupKey]groupKey) func(*manifest.Entry) string {
	names := map[groupKey]string{}
	for old, now := range to {
		names[old], names[now] = now.name+":"+now.arch, now.name+":"+now.arch
	}
	return func(e *manifest.Entry) string {
		if e.Origin == nil {
			return ""
		}
		name := names[groupKey{string(e.Origin.Kind), e.Origin.Name, e.Origin.Architecture}]
		if name == "" || nameStem(e.Path) == e.Path {
			return ""
		}
		return name + " " + string(e.Type) + " " + nameStem(e.Path)
	}
}
