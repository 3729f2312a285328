package debian

import (
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

// The ways in. A password counts although Debian's script forbids all of them:
// nothing but one letter in that script stands before it.
const (
	ByKey      How = "key"
	ByPassword How = "password"
	ByNothing  How = "nothing" // -B, and an account without a password
)

// logins finds who may log in: for every account that dropbear would let in, the
// keys in the file that it reads for that account.
func (f *Facts) logins(img *initrd.Image) {
	shells := loginShells(img)
	keys := map[string][]string{} // file to users
	var order []string
	doubt := f.Server.Doubt != ""
	for _, a := range f.Accounts {
		shell := a.Shell
		if shell == "" {
			shell = "/bin/sh"
		}
		if !slices.Contains(shells, shell) || f.Server.NoRoot && a.UID == 0 && !doubt {
			continue
		}
		if !doubt && f.Server.Group != "" && !member(img, a, f.Server.Group) {
			continue
		}
		f.passwords(img, a)
		// Through a symbolic link ".." leads elsewhere than the name says.
		doubt = doubt || strings.Contains(a.Home+f.Server.KeysDir, "..")
		name := f.Server.keysFile(a.Home)
		if _, ok := img.Resolve(name); !ok {
			continue
		}
		if why := f.refused(img, a, name); why != "" {
			f.problem("dropbear does not read %s for %s: %s", name, a.Name, why)
			continue
		}
		if keys[name] == nil {
			order = append(order, name)
		}
		keys[name] = append(keys[name], a.Name)
	}
	if doubt {
		order = append(order, f.anyKeys(img, keys)...)
	}
	for _, name := range order {
		f.keys(img, name, keys[name])
	}
}

// anyKeys is every further authorized_keys of the archive: where it is not
// certain which of them dropbear reads, each may open a way in.
func (f *Facts) anyKeys(img *initrd.Image, known map[string][]string) []string {
	var more []string
	for name, e := range img.Tree() {
		if path.Base(name) == "authorized_keys" && !e.IsDir() && known[name] == nil {
			more = append(more, name)
		}
	}
	return more
}

// passwords notes logins that need no key.
func (f *Facts) passwords(img *initrd.Image, a Account) {
	hash := a.Password
	if hash == "x" {
		hash = shadowHash(img, a.Name)
	}
	switch {
	case hash == "" && f.Server.BlankPassword:
		f.Logins = append(f.Logins, Login{How: ByNothing, Users: []string{a.Name}, Path: "etc/passwd"})
	case !f.Server.NoPasswords && (strings.HasPrefix(hash, "$") || strings.HasPrefix(hash, "_") || len(hash) == 13): // crypt(5)
		f.Logins = append(f.Logins, Login{How: ByPassword, Users: []string{a.Name}, Path: "etc/passwd"})
	}
}

// shadowHash is a user's password in etc/shadow, "*" of none: nobody logs in.
func shadowHash(img *initrd.Image, name string) string {
	b, err := img.ReadFile("etc/shadow")
	if err != nil {
		return "*"
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) > 1 && f[0] == name {
			return f[1]
		}
	}
	return "*"
}

// refused says why dropbear does not read a file of keys, "" if it does: file and
// directories up to the home must belong to the user or root and be writable by
// nobody else (svr-authpubkey.c, checkpubkeyperms).
func (f *Facts) refused(img *initrd.Image, a Account, name string) string {
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
	return unreadable(img, a, name)
}

// unreadable says why a user cannot read a file: dropbear opens it as that user.
func unreadable(img *initrd.Image, a Account, name string) string {
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

// keys adds the keys in a file, and names what is none.
func (f *Facts) keys(img *initrd.Image, name string, users []string) {
	b, err := img.ReadFile(name)
	if err != nil {
		f.problem("%s: %v", name, err)
		return
	}
	keys, problems, err := dropbear.ParseAuthorizedKeys(b)
	if v, known := f.Server.version(); known && err == nil {
		_, problems, _ = dropbear.CheckAuthorizedKeys(b, v)
		keys = slices.DeleteFunc(keys, func(k dropbear.AuthorizedKey) bool { return v.Usable(k) != nil })
	}
	f.addKeys(name, users, keys, problems, err)
}

func (f *Facts) addKeys(name string, users []string, keys []dropbear.AuthorizedKey, problems []string, err error) {
	if errors.Is(err, dropbear.ErrPrivateKey) {
		f.problem("%s holds a private key: nobody can log in, and it is no secret any more", name)
	}
	for _, p := range problems {
		f.problem("%s: %s", name, p)
	}
	for _, k := range keys {
		f.Logins = append(f.Logins, Login{ByKey, users, name, k})
	}
}
