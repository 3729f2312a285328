package patches

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
)

// rootHome is root's home in the archive, as its etc/passwd has it: Debian's
// hook makes up a new name each time.
func rootHome(img *initrd.Image) (string, error) {
	passwd, err := img.ReadFile("etc/passwd")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 7 && f[0] == "root" && strings.HasPrefix(f[5], "/") && path.Clean(f[5]) != "/" {
			return strings.TrimPrefix(path.Clean(f[5]), "/"), nil
		}
	}
	return "", errors.New("etc/passwd: no home of root in it")
}

// authorizedKeysPath is the file that dropbear in this archive reads, "" where
// there is no dropbear.
func authorizedKeysPath(img *initrd.Image) string {
	home, err := rootHome(img)
	if err != nil {
		return ""
	}
	return path.Join(home, ".ssh/authorized_keys")
}

// AuthorizedKeysOf is the text of the archive's authorized_keys, nil where
// there is none.
func AuthorizedKeysOf(img *initrd.Image) []byte {
	b, err := img.ReadFile(authorizedKeysPath(img))
	if err != nil {
		return nil
	}
	return b
}

// authorizedKeys puts in the keys that were given, or keeps the archive's, or
// takes root's from the root tree; without a usable one nobody could log in.
func authorizedKeys(t *Target) (string, error) {
	home, err := rootHome(t.Image)
	if err != nil {
		return "", err
	}
	keys, from, err := t.chooseKeys()
	if err != nil {
		return "", err
	}
	usable, problems, err := dropbear.CheckAuthorizedKeys(keys, t.version)
	if err != nil {
		return "", fmt.Errorf("%s: %w", from, err)
	}
	for _, p := range problems {
		t.note("%s: %s", from, p)
	}
	for _, dir := range []string{home, home + "/.ssh"} {
		if err := t.put(dir, initrd.TypeDir|0o700, nil); err != nil {
			return "", err
		}
	}
	if err := t.put(home+"/.ssh/authorized_keys", initrd.TypeFile|0o600, keys); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s from %s", count(len(usable), "key"), from), nil
}

func (t *Target) chooseKeys() (keys []byte, from string, err error) {
	if t.opts.AuthorizedKeys != nil {
		return t.opts.AuthorizedKeys, "the given keys", nil
	}
	if old := AuthorizedKeysOf(t.Image); len(bytes.TrimSpace(old)) > 0 {
		return old, "the archive", nil
	}
	for _, name := range []string{"root/.ssh/authorized_keys", t.version.RootAuthorizedKeys()} {
		b, err := t.optional(name)
		if err != nil {
			return nil, "", err
		}
		if len(bytes.TrimSpace(b)) > 0 {
			return b, name + " of the root tree", nil
		}
	}
	return nil, "", errors.New("nobody could log in: the archive and the root tree have no authorized keys, give some with --authorized-keys")
}

// HostKeysOf reads the host keys in the archive, in the order of their kinds.
func HostKeysOf(img *initrd.Image, v dropbear.Version) ([]*dropbear.HostKey, error) {
	var keys []*dropbear.HostKey
	for _, kind := range v.HostKeyTypes() {
		name := hostKeyPath(v, kind)
		if _, ok := img.Resolve(name); !ok {
			continue
		}
		b, err := img.ReadFile(name)
		if err != nil {
			return nil, err
		}
		k, err := dropbear.ParseHostKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if k.Type() != kind {
			return nil, fmt.Errorf("%s: it holds a key of another kind, %s", name, k.Type())
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func hostKeyPath(v dropbear.Version, kind string) string {
	return path.Join(path.Dir(v.ArchiveConfig), "dropbear_"+kind+"_host_key")
}

// hostKeys sees to it that the device has an identity.
func hostKeys(t *Target) (string, error) {
	have, err := HostKeysOf(t.Image, t.version)
	if err != nil {
		return "", err
	}
	keys, summary, err := t.chooseHostKeys(have)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if !slices.Contains(t.version.HostKeyTypes(), k.Type()) {
			return "", fmt.Errorf("%v has no %s host keys", t.version, k.Type())
		}
		if err := t.put(hostKeyPath(t.version, k.Type()), initrd.TypeFile|0o600, k.Marshal()); err != nil {
			return "", err
		}
	}
	return summary, nil
}

func (t *Target) chooseHostKeys(have []*dropbear.HostKey) ([]*dropbear.HostKey, string, error) {
	switch {
	case len(t.opts.HostKeys) > 0:
		return t.opts.HostKeys, fmt.Sprintf("%s given", count(len(t.opts.HostKeys), "key")), nil
	case t.opts.NewHostKeys:
		return t.newHostKeys("new")
	case len(have) > 0:
		return have, fmt.Sprintf("%s kept", count(len(have), "key")), nil
	}
	var keys []*dropbear.HostKey
	for _, kind := range t.version.HostKeyTypes() {
		name := path.Join(t.version.RootDir, "dropbear_"+kind+"_host_key")
		b, err := t.optional(name)
		if err != nil {
			return nil, "", err
		}
		if b == nil {
			continue
		}
		k, err := dropbear.ParseHostKey(b)
		if err != nil {
			return nil, "", fmt.Errorf("%s of the root tree: %w", name, err)
		}
		if k.Type() != kind {
			return nil, "", fmt.Errorf("%s of the root tree: it holds a key of another kind, %s", name, k.Type())
		}
		keys = append(keys, k)
	}
	if len(keys) > 0 {
		return keys, fmt.Sprintf("%s from the root tree", count(len(keys), "key")), nil
	}
	return t.newHostKeys("new, there were none")
}

func (t *Target) newHostKeys(why string) ([]*dropbear.HostKey, string, error) {
	var keys []*dropbear.HostKey
	for _, kind := range t.version.HostKeyTypes() {
		k, err := dropbear.GenerateHostKey(kind)
		if err != nil {
			return nil, "", err
		}
		keys = append(keys, k)
	}
	return keys, fmt.Sprintf("%s made: %s", count(len(keys), "key"), why), nil
}

// count writes "1 key", "2 keys".
func count(n int, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "y") && !strings.HasSuffix(what, "ey"):
		what = strings.TrimSuffix(what, "y") + "ies"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
