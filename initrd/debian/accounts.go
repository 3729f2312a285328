package debian

import (
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd"
)

// Account is a user as getpwnam(3) of the GNU C library returns it.
type Account struct {
	Name, Password string
	UID, GID       uint32
	Home, Shell    string // as etc/passwd has them
}

// parseAccounts is the users in etc/passwd, of two lines of one name the first, which
// is the one that counts. The rules are those of glibc's nss_files: leading blanks
// are skipped, fields that are missing are empty, behind the seventh nothing ends.
func parseAccounts(passwd []byte) []Account {
	var all []Account
	seen := map[string]bool{}
	for line := range strings.Lines(string(passwd)) {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\n"), " \t\n\v\f\r")
		if i := strings.IndexByte(line, 0); i >= 0 {
			line = line[:i]
		}
		if line == "" || strings.IndexByte("#+-", line[0]) >= 0 {
			continue // + and - would ask NIS
		}
		f := append(strings.SplitN(line, ":", 7), "", "", "", "", "")
		uid, ok := accountNumber(f[2])
		gid, also := accountNumber(f[3])
		if !ok || !also || seen[f[0]] {
			continue
		}
		seen[f[0]] = true
		all = append(all, Account{Name: f[0], Password: f[1], UID: uid, GID: gid, Home: f[5], Shell: f[6]})
	}
	return all
}

// accountNumber reads a number as strtoul(3) does: blanks and a sign before it,
// and what is too large is the largest.
func accountNumber(s string) (uint32, bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(s, "+")
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if negative {
		n = -n
	}
	if err != nil || n > 1<<32-1 {
		n = 1<<32 - 1
	}
	return uint32(n), true
}

// loginShells is what getusershell(3) returns.
func loginShells(text []byte) []string {
	if text == nil {
		return []string{"/bin/sh", "/bin/csh"}
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		at := strings.IndexAny(line, "#/")
		if at < 0 || line[at] == '#' || len(line) == at+1 {
			continue
		}
		line = line[at:]
		if end := strings.IndexAny(line, "# \t\n\v\f\r"); end >= 0 {
			line = line[:end]
		}
		all = append(all, line)
	}
	return all
}

// accountGroup is a group of etc/group.
type accountGroup struct {
	gid     uint32
	known   bool
	members []string
}

// groupOf is the group of dropbear's -G.
func (f *Facts) groupOf(img *initrd.Image) (g accountGroup) {
	if f.Server.Group == "" {
		return g
	}
	for line := range strings.Lines(string(f.accountsFile(img, "etc/group"))) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) < 3 || fields[0] != f.Server.Group {
			continue
		}
		if g.gid, g.known = accountNumber(fields[2]); len(fields) > 3 {
			g.members = strings.Split(fields[3], ",")
			slices.Sort(g.members)
		}
		return g
	}
	return g
}

// hasMember reports whether an account is in it, as its own group or by name.
func (g accountGroup) hasMember(a Account) bool {
	_, named := slices.BinarySearch(g.members, a.Name)
	return g.known && g.gid == a.GID || named
}
