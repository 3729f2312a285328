package dpkg

import (
	"regexp"
	"strings"
)

// Relation is a package that another one names (Debian Policy, 7.1), without its architecture. Op and Version restrict which of its
// versions are meant; both are "" where any is.
type Relation struct{ Name, Op, Version string }

// Satisfied reports whether a package of that version is meant. What provides a name without a version has none, and satisfies no restriction.
func (r Relation) Satisfied(version string) bool {
	if r.Op == "" {
		return true
	}
	if version == "" {
		return false
	}
	c := CompareVersions(version, r.Version)
	switch r.Op {
	case "<<":
		return c < 0
	case "<=", "<": // "<" and ">" are old and mean this
		return c <= 0
	case "=":
		return c == 0
	case ">=", ">":
		return c >= 0
	case ">>":
		return c > 0
	}
	return false
}

// maxVersion bounds what versions are compared with, in bytes.
const maxVersion = 1 << 10

var relationForm = regexp.MustCompile(`^\s*([A-Za-z0-9+._-]+)(?::[a-z0-9-]+)?\s*(?:\(\s*([<>=]+)\s*([^\s()]+)\s*\))?`)

// parseRelations are the packages that a field of dependencies names, alternatives as well.
func parseRelations(field string) []Relation {
	var list []Relation
	for one := range strings.FieldsFuncSeq(field, func(r rune) bool { return r == ',' || r == '|' }) {
		if m := relationForm.FindStringSubmatch(one); m != nil && isPackageName(m[1]) && len(m[3]) <= maxVersion {
			list = append(list, Relation{strings.ToLower(m[1]), m[2], m[3]})
		}
	}
	return list
}
