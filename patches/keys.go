package patches

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dropbear"
	"groundhog/initrd/show"
)

// authorizedKeys puts in the keys that were given, or keeps the archive's, or
// takes root's from the root tree; without a usable one nobody could log in.
func authorizedKeys(t *Target) (string, error) {
	facts := debian.Read(t.Image)
	name := facts.RootKeys()
	if name == "" {
		return "", errors.New("etc/passwd: no home of root in it")
	}
	keys, from, err := t.chooseKeys(name)
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
	if err := t.putKeys(name, strings.Trim(facts.Root().Home, "/"), keys); err != nil {
		return "", err
	}
	if after := debian.Read(t.Image); !after.LetsIn("root", name) {
		return "", fmt.Errorf("dropbear would let nobody in as root: %s", strings.Join(after.Problems, "; "))
	}
	return fmt.Sprintf("%s from %s", show.Count(len(usable), "key"), from), nil
}

// putKeys writes the file that dropbear reads, in directories that nobody else can
// write to, as it wants them: those from root's home on are root's alone.
func (t *Target) putKeys(name, home string, keys []byte) error {
	var dirs []string
	for dir := path.Dir(name); dir != "." && dir != path.Dir(home); dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	for _, dir := range slices.Backward(dirs) {
		_, there := t.Image.Resolve(dir)
		if there && dir != home && !strings.HasPrefix(dir, home+"/") {
			continue
		}
		if err := t.put(dir, initrd.TypeDir|0o700, nil); err != nil {
			return err
		}
	}
	return t.put(name, initrd.TypeFile|0o600, keys)
}

func (t *Target) chooseKeys(name string) (keys []byte, from string, err error) {
	if t.opts.AuthorizedKeys != nil {
		return t.opts.AuthorizedKeys, "the given keys", nil
	}
	if old, err := t.Image.ReadFile(name); err == nil && len(bytes.TrimSpace(old)) > 0 {
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

// keysThere is the archive's host keys, each in the file of its kind.
func (t *Target) keysThere() ([]*dropbear.HostKey, error) {
	facts := debian.Read(t.Image)
	if len(facts.BadHostKeys) > 0 {
		return nil, facts.BadHostKeys[0]
	}
	var keys []*dropbear.HostKey
	for _, k := range facts.HostKeys {
		if k.Path != debian.HostKeyPath(k.Type()) {
			return nil, fmt.Errorf("%s: it holds a key of another kind, %s", k.Path, k.Type())
		}
		keys = append(keys, k.HostKey)
	}
	return keys, nil
}

// hostKeys sees to it that the device has an identity.
func hostKeys(t *Target) (string, error) {
	have, err := t.keysThere()
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
		if err := t.put(debian.HostKeyPath(k.Type()), initrd.TypeFile|0o600, k.Marshal()); err != nil {
			return "", err
		}
	}
	return summary, nil
}

func (t *Target) chooseHostKeys(have []*dropbear.HostKey) ([]*dropbear.HostKey, string, error) {
	switch {
	case len(t.opts.HostKeys) > 0:
		return t.opts.HostKeys, fmt.Sprintf("%s given", show.Count(len(t.opts.HostKeys), "key")), nil
	case t.opts.NewHostKeys:
		return t.newHostKeys("new")
	case len(have) > 0:
		return have, fmt.Sprintf("%s kept", show.Count(len(have), "key")), nil
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
		return keys, fmt.Sprintf("%s from the root tree", show.Count(len(keys), "key")), nil
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
	return keys, fmt.Sprintf("%s made: %s", show.Count(len(keys), "key"), why), nil
}
