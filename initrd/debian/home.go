package debian

import (
	"slices"
	"strings"
)

// Dropbear's hook has mktemp(1) make root's home, so that its name is another one in each archive: a prefix, and so many random letters and digits.
const (
	homePrefix = "root-"
	homeRandom = 10
)

// StableHome is a path that begins with root's home, with the template of
// mktemp(1), which has an X for each random character, in place of the home's name: it is the same in two builds that differ in that name alone. Of any
// other path it is "".
func StableHome(name string) string {
	home, rest, below := strings.Cut(name, "/")
	random, ok := strings.CutPrefix(home, homePrefix)
	if !ok || len(random) != homeRandom || strings.IndexFunc(random, notAlphanumeric) >= 0 {
		return ""
	}
	if below {
		rest = "/" + rest
	}
	return homePrefix + strings.Repeat("X", homeRandom) + rest
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// MergedUsr is a path below the root as it is where /bin, /sbin and /lib* are
// links into /usr: inside every archive, and in most root trees, whatever dpkg's
// lists say.
func MergedUsr(name string) string {
	if first, _, below := strings.Cut(name, "/"); below && slices.Contains(MergedDirs, first) {
		return "usr/" + name
	}
	return name
}

// MergedDirs are the top-level directories that a merged /usr turns into links. Nobody changes them.
var MergedDirs = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// UsrTwin is a path below the root on the other side of a merged /usr, "" if it has none.
func UsrTwin(name string) string {
	inner, usr := strings.CutPrefix(name, "usr/")
	top, _, _ := strings.Cut(inner, "/")
	if !slices.Contains(MergedDirs, top) {
		return ""
	}
	if usr {
		return inner
	}
	return "usr/" + name
}
