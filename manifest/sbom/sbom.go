// Package sbom writes a manifest as a bill of materials for other tools, in SPDX
// or CycloneDX.
package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"

	"groundhog/manifest"
)

// Both bills of materials name the archive or the tree as the main component, the operating system, the Debian packages in it by package
// URL with what they need of one another, the kernel, and groundhog's patches. They name source packages, too, as debsbom does, because
// Debian's advisories are on sources: those that the packages were built from, and built using (a signed kernel was built using linux).
// Of files CycloneDX lists those that come from no package. SPDX lists none: SPDX 2.3 wants a SHA-1 of each, which nobody should rely
// on any more.

// epoch is the time of a manifest that has none: both formats want one.
const epoch = "1970-01-01T00:00:00Z"

// ErrEmpty says that a bill of materials would list nothing: a scanner would find nothing wrong with it.
var ErrEmpty = errors.New("no packages are known, a bill of materials would be empty: name the root tree with --root")

// digestOf names a manifest by the SHA-256 of its JSON.
func digestOf(m *manifest.Manifest) (string, error) {
	sum := sha256.New()
	err := manifest.Encode(sum, m)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// componentTitle is what the main component is called.
func componentTitle(m *manifest.Manifest) string {
	if m.Archive != nil && m.Archive.Name != "" {
		return m.Archive.Name
	}
	return string(m.Source)
}

// sourceOf is a source package, by name and version.
type sourceOf struct{ name, version string }

// sourcePackages are those that the packages were built from and built using, each once, in order.
func sourcePackages(m *manifest.Manifest) []sourceOf {
	var list []sourceOf
	for _, p := range m.Packages {
		if p.Source != "" {
			list = append(list, sourceOf{p.Source, p.SourceVersion})
		}
		for _, b := range p.BuiltUsing {
			list = append(list, sourceOf{b.Source, b.Version})
		}
	}
	slices.SortFunc(list, func(x, y sourceOf) int { return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.version, y.version)) })
	return slices.Compact(list)
}

// neededPackages are the packages that each package needs, all by their place in m.Packages. Of a name that is there for several
// architectures the package's own counts, or "all"; else one that any architecture may use (Multi-Arch: foreign), the machine's own first.
func neededPackages(m *manifest.Manifest) [][]int {
	named := map[string][]int{}
	for i, p := range m.Packages {
		named[p.Name] = append(named[p.Name], i)
	}
	all := make([][]int, len(m.Packages))
	for i, p := range m.Packages {
		own := p.Architecture
		if own == "all" {
			own = m.Architecture
		}
		for _, name := range p.Depends {
			for _, wanted := range [][]string{{own, "all"}, {m.Architecture}, nil} {
				found := slices.DeleteFunc(slices.Clone(named[name]), func(j int) bool {
					return wanted != nil && !slices.Contains(wanted, m.Packages[j].Architecture)
				})
				if all[i] = append(all[i], found...); len(found) > 0 {
					break
				}
			}
		}
	}
	return all
}

// sourcePurl is a source package's URL: its architecture is "source".
func sourcePurl(m *manifest.Manifest, s sourceOf) string {
	return packageURL(m, manifest.Package{Name: s.name, Version: s.version, Architecture: "source", Source: s.name, SourceVersion: s.version})
}

// packageURL is a package's URL (package-url/purl-spec, type deb).
func packageURL(m *manifest.Manifest, p manifest.Package) string {
	query := url.Values{"arch": {p.Architecture}}
	vendor := "debian"
	if s, ok := systemOf(m); ok {
		vendor = s.id
		query.Set("distro", s.id+"-"+s.version) // Grype takes what is before the first dash for the system's name
	} else if m.Release != "" {
		query.Set("distro", m.Release)
	}
	if p.Source != p.Name || p.SourceVersion != p.Version {
		query.Set("upstream", p.Source+"@"+p.SourceVersion)
	}
	return "pkg:deb/" + vendor + "/" + purlPart(p.Name) + "@" + purlPart(p.Version) + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

// purlPart percent-encodes all but what a package URL leaves alone.
func purlPart(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~:"
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(plain, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{s[i]})))
		}
	}
	return b.String()
}
