package debian

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
)

// Login is a way in that the archive's dropbear accepts.
type Login struct {
	How   How
	Users []string               // who may come in that way
	Path  string                 // the file that says so
	Key   dropbear.AuthorizedKey // of a key
}

// How is what opens a login.
type How string

// The ways in. A password counts, although Debian's script starts dropbear without
// passwords (-s): that one letter is all that forbids them.
const (
	ByKey      How = "key"
	ByPassword How = "password"
	ByNothing  How = "nothing" // -B, and an account without a password
)

// findLogins finds who may log in: for every account that dropbear would let in, the
// keys in the file that it reads for that account.
func (f *Facts) findLogins(img *initrd.Image) {
	shells := map[string]bool{}
	for _, s := range loginShells(f.accountsFile(img, "etc/shells")) {
		shells[s] = true
	}
	all := f.Accounts
	if len(all) > maxAccounts {
		f.noteProblem("etc/passwd: %d accounts are too many to be looked into", len(all))
		f.Server.Doubt = cmp.Or(f.Server.Doubt, fmt.Sprintf("etc/passwd: more than %d accounts", maxAccounts))
		all = all[:maxAccounts]
	}
	shadow := shadowHashes(f.accountsFile(img, "etc/shadow"))
	group := f.groupOf(img)
	keys := map[string]*keysFile{}
	var order []*keysFile
	for _, a := range all {
		shell := a.Shell
		if shell == "" {
			shell = "/bin/sh"
		}
		if !shells[shell] && a.Name == "root" && f.HasDropbear() {
			f.noteProblem("dropbear lets root not log in: etc/shells does not list his shell, %s", shell)
		}
		if !shells[shell] || f.Server.NoRoot && a.UID == 0 && f.Server.Doubt == "" {
			continue
		}
		if f.Server.Doubt == "" && f.Server.Group != "" && !group.hasMember(a) {
			continue
		}
		f.notePasswords(shadow, a)
		// Through a symbolic link ".." leads elsewhere than the name says.
		if f.Server.Doubt == "" && strings.Contains(a.Home+f.Server.KeysDir, "..") {
			f.Server.Doubt = "the home of " + a.Name + ": it has .. in it"
		}
		name := f.Server.keysFile(a.Home)
		real, ok := img.Resolve(name)
		if !ok {
			continue
		}
		if why := f.whyRefused(img, a, name); why != "" {
			f.noteProblem("dropbear does not read %s for %s: %s", name, a.Name, why)
			continue
		}
		if keys[real] == nil {
			keys[real] = &keysFile{name: name}
			order = append(order, keys[real])
		}
		keys[real].users = append(keys[real].users, a.Name)
	}
	if f.Server.Doubt != "" {
		order = append(order, anyKeys(img, keys)...)
	}
	left := int64(maxKeysFiles)
	for _, k := range order {
		f.addLoginKeys(img, k, &left)
	}
}

// keysFile is a file of keys, and who logs in with them.
type keysFile struct {
	name  string
	users []string
}

// anyKeys is every further authorized_keys of the archive. It is for archives of which it is not
// certain which file dropbear reads: then each may open a way in.
func anyKeys(img *initrd.Image, known map[string]*keysFile) []*keysFile {
	var more []*keysFile
	for name, e := range img.Tree() {
		if path.Base(name) == "authorized_keys" && !e.IsDir() && known[name] == nil {
			more = append(more, &keysFile{name: name})
		}
	}
	return more
}

// notePasswords notes logins that need no key.
func (f *Facts) notePasswords(shadow map[string]string, a Account) {
	hash := a.Password
	if hash == "x" {
		known := false
		if hash, known = shadow[a.Name]; !known {
			hash = "*" // nobody logs in
		}
	}
	if len(f.Logins) >= maxLogins {
		return
	}
	switch {
	case hash == "" && f.Server.BlankPassword:
		f.Logins = append(f.Logins, Login{How: ByNothing, Users: []string{a.Name}, Path: "etc/passwd"})
	case !f.Server.NoPasswords && (strings.HasPrefix(hash, "$") || strings.HasPrefix(hash, "_") || len(hash) == 13): // crypt(5)
		f.Logins = append(f.Logins, Login{How: ByPassword, Users: []string{a.Name}, Path: "etc/passwd"})
	}
}

// shadowHashes is the users' passwords in etc/shadow; of two lines of one name the first counts.
func shadowHashes(text []byte) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if _, known := all[f[0]]; len(f) > 1 && !known {
			all[f[0]] = f[1]
		}
	}
	return all
}

// whyRefused says why dropbear does not read a file of keys, "" if it does: file and
// directories up to the home must belong to the user or root and be writable by
// nobody else (svr-authpubkey.c, checkpubkeyperms).
func (f *Facts) whyRefused(img *initrd.Image, a Account, name string) string {
	if a.Home == "" && f.Server.KeysDir == "~/.ssh" && !f.Server.perhapsLater() {
		return "the account has no home"
	}
	home := strings.TrimPrefix(path.Join("/", a.Home), "/")
	at := name
	if f.Server.perhapsLater() {
		at = path.Dir(name) // from 2024.84 on the file's own mode does not matter
	}
	for {
		if why := badOwner(img, a, at); why != "" {
			return why
		}
		if at == home || at == "." || at == "" {
			break
		}
		at = path.Dir(at)
	}
	return whyUnreadable(img, a, name)
}

// whyUnreadable says why a user cannot read a file: dropbear opens it as that user.
func whyUnreadable(img *initrd.Image, a Account, name string) string {
	need := uint32(4) // to read the file, and then to search its directories
	for at := name; a.UID != 0 && at != "."; at = path.Dir(at) {
		real, _ := img.Resolve(at)
		e := img.Lookup(real)
		if e == nil {
			return "there is no " + at
		}
		shift := 0
		if e.UID == a.UID {
			shift = 6
		} else if e.GID == a.GID {
			shift = 3
		}
		if e.Perm()>>shift&need == 0 {
			return fmt.Sprintf("%s may not read %s (mode %04o)", a.Name, at, e.Perm()&0o7777)
		}
		need = 1
	}
	return ""
}

// perhapsLater reports whether the server is, or may be, of 2024.84 or later.
func (s *Server) perhapsLater() bool { return s.Version == "" || s.Version >= "2024.84" }

func badOwner(img *initrd.Image, a Account, name string) string {
	real, ok := img.Resolve(name)
	if !ok {
		return "there is no " + name
	}
	e := img.Lookup(real)
	switch {
	case e == nil:
		return "there is no " + name
	case e.UID != a.UID && e.UID != 0:
		return fmt.Sprintf("%s belongs to uid %d", name, e.UID)
	case e.Perm()&0o022 != 0:
		return fmt.Sprintf("others may write %s (mode %04o)", name, e.Perm()&0o7777)
	}
	return ""
}

// addLoginKeys adds the keys in a file, and names what is none.
func (f *Facts) addLoginKeys(img *initrd.Image, k *keysFile, left *int64) {
	real, _ := img.Resolve(k.name)
	if e := img.Lookup(real); e != nil && e.IsFile() {
		n := img.ContentSize(e)
		if *left -= n; n > maxKeysFile || *left < 0 || len(f.Logins) >= maxLogins {
			f.tooMuch(img, k.name, e)
			return
		}
	}
	b, err := img.ReadFile(k.name)
	if err != nil {
		f.noteProblem("%s: %v", k.name, err)
		return
	}
	keys, problems, err := dropbear.ParseAuthorizedKeys(b)
	if v, known := f.Server.knownVersion(); known {
		_, problems, _ = dropbear.CheckAuthorizedKeys(b, v)
		keys = slices.DeleteFunc(keys, func(k dropbear.AuthorizedKey) bool { return v.Usable(k) != nil })
	}
	f.addKeys(k, keys, problems, err)
}

func (f *Facts) addKeys(file *keysFile, keys []dropbear.AuthorizedKey, problems []string, err error) {
	if errors.Is(err, dropbear.ErrPrivateKey) {
		f.noteProblem("%s holds a private key: it lets nobody in, and it is no secret any more", file.name)
	}
	for _, p := range problems {
		f.noteProblem("%s: %s", file.name, p)
	}
	for _, k := range keys {
		f.Logins = append(f.Logins, Login{ByKey, file.users, file.name, k})
	}
}
