package debian

import "strings"

// Debian's hook gives root a home of a new random name in each archive.
const (
	homePrefix = "root-"
	homeRandom = "XXXXXXXXXX"
)

// StableHome is a path that begins with root's home, with the random part of the
// home's name written XXXXXXXXXX: it is the same in two builds that differ in that part
// alone. Of any other path it is "".
func StableHome(name string) string {
	home, rest, below := strings.Cut(name, "/")
	random, ok := strings.CutPrefix(home, homePrefix)
	if !ok || len(random) != len(homeRandom) || strings.IndexFunc(random, notAlphanumeric) >= 0 {
		return ""
	}
	if below {
		rest = "/" + rest
	}
	return homePrefix + homeRandom + rest
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// MergedUsr is a path below the root as it is where /bin, /sbin and /lib* are
// links into /usr: inside every archive, and in most root trees, whatever dpkg's
// lists say.
func MergedUsr(name string) string {
	first, _, below := strings.Cut(name, "/")
	if !below {
		return name
	}
	switch first {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32":
		return "usr/" + name
	}
	return name
}
