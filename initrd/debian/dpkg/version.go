package dpkg

import (
	"cmp"
	"strings"
)

// CompareVersions orders versions as dpkg does (deb-version(7)): -1, 0 or 1. One whose epoch is no number has none.
func CompareVersions(a, b string) int {
	epochA, upstreamA, revisionA := splitVersion(a)
	epochB, upstreamB, revisionB := splitVersion(b)
	return cmp.Or(compareDigits(epochA, epochB), compareParts(upstreamA, upstreamB), compareParts(revisionA, revisionB))
}

func splitVersion(v string) (epoch, upstream, revision string) {
	if e, rest, ok := strings.Cut(v, ":"); ok && strings.Trim(e, "0123456789") == "" {
		epoch, v = e, rest
	}
	upstream = v
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		upstream, revision = v[:i], v[i+1:]
	}
	return epoch, upstream, revision
}

// compareParts compares what is no number and what is one in turn.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		for i := 0; ; i++ {
			x, y := weightAt(a, i), weightAt(b, i)
			if x != y {
				return cmp.Compare(x, y)
			}
			if x == 0 {
				a, b = a[min(i, len(a)):], b[min(i, len(b)):]
				break
			}
		}
		numberA, numberB := leadingDigits(a), leadingDigits(b)
		if c := compareDigits(numberA, numberB); c != 0 {
			return c
		}
		a, b = a[len(numberA):], b[len(numberB):]
	}
	return 0
}

// weightAt is the rank of a character that is no digit: a tilde is before the end, which is where a digit is, and letters are
// before all others.
func weightAt(s string, i int) int {
	switch {
	case i >= len(s) || isDigit(s[i]):
		return 0
	case s[i] == '~':
		return -1
	case 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z':
		return int(s[i])
	}
	return int(s[i]) + 256
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func leadingDigits(s string) string {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i]
}

// compareDigits compares numbers of any length; none is 0.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
