package patches

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dropbear"
	"groundhog/initrd/show"
)

// ErrHostKeys is wrapped by an error about host keys that the root tree has and that cannot be read: new ones do without them.
var ErrHostKeys = errors.New("reading the root tree's host keys")

// keysThere is the archive's host keys, each in the file of its kind.
func (t *Archive) keysThere() ([]*dropbear.HostKey, error) {
	facts := t.facts()
	if len(facts.BadHostKeys) > 0 {
		return nil, facts.BadHostKeys[0]
	}
	var keys []*dropbear.HostKey
	for _, k := range facts.HostKeys {
		if facts.Server.HostKeys == nil && k.Path != debian.HostKeyPath(k.Type()) {
			return nil, fmt.Errorf("%s: it holds a key of another kind, %s", k.Path, k.Type())
		}
		keys = append(keys, k.HostKey)
	}
	return keys, nil
}

// ensureHostKeys sees to it that the device has an identity.
func (t *Archive) ensureHostKeys() (string, error) {
	have, err := t.keysThere()
	if err != nil {
		return "", err
	}
	keys, summary, err := t.chooseHostKeys(have)
	if err != nil {
		return "", err
	}
	server := t.facts().Server
	for _, k := range keys {
		if !slices.Contains(t.version.HostKeyTypes(), k.Type()) {
			return "", fmt.Errorf("%v has no %s host keys", t.version, k.Type())
		}
		used := server.HostKeys == nil || slices.Contains(have, k) || t.opts.DropbearOptions != nil ||
			slices.ContainsFunc(server.HostKeys, func(name string) bool { return path.Join("/", name) == "/"+debian.HostKeyPath(k.Type()) })
		if !used {
			return "", fmt.Errorf("%s: -r has dropbear take its host keys from %s, and not the %s key from %s: --dropbear-option '%s' would put options in the place of these",
				server.Config, show.Printable(strings.Join(server.HostKeys, ", ")), k.Type(), debian.HostKeyPath(k.Type()), strings.Join(server.Without("dr"), " "))
		}
		if err := t.putEntry(debian.HostKeyPath(k.Type()), initrd.TypeFile|0o600, k.Marshal()); err != nil {
			return "", err
		}
	}
	return summary, nil
}

func (t *editTarget) chooseHostKeys(have []*dropbear.HostKey) ([]*dropbear.HostKey, string, error) {
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
		name := t.hostKeyName(kind)
		b, err := t.readOptional(name)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", ErrHostKeys, err)
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

func (t *editTarget) newHostKeys(why string) ([]*dropbear.HostKey, string, error) {
	makeKey := t.opts.MakeHostKey
	if makeKey == nil {
		makeKey = dropbear.GenerateHostKey
	}
	var keys []*dropbear.HostKey
	for _, kind := range t.version.HostKeyTypes() {
		k, err := makeKey(kind)
		if err != nil {
			return nil, "", err
		}
		keys = append(keys, k)
	}
	return keys, fmt.Sprintf("%s made: %s", show.Count(len(keys), "key"), why), nil
}

// ensureHostKeys keeps the keys in the tree, or puts in others. The public halves that
// newer packages keep beside them follow.
func (t *Tree) ensureHostKeys() (string, error) {
	var have []*dropbear.HostKey
	for _, kind := range t.version.HostKeyTypes() {
		k, err := t.readHostKey(kind)
		if err != nil {
			return "", err
		}
		if k != nil {
			have = append(have, k)
		}
	}
	keys, summary, err := t.chooseHostKeys(have)
	if err != nil {
		return "", err
	}
	all := map[string]*dropbear.HostKey{}
	for _, k := range append(slices.Clone(have), keys...) {
		all[k.Type()] = k
		if slices.Contains(have, k) {
			continue
		}
		if !slices.Contains(t.version.HostKeyTypes(), k.Type()) {
			return "", fmt.Errorf("%v has no %s host keys", t.version, k.Type())
		}
		if err := t.putHostKey(k); err != nil {
			return "", err
		}
	}
	for _, kind := range t.version.HostKeyTypes() {
		if all[kind] != nil {
			t.report.HostKeys = append(t.report.HostKeys, all[kind])
		}
	}
	return summary, nil
}

// hostKeyName is where a root tree has the key of a kind.
func (t *editTarget) hostKeyName(kind string) string {
	return path.Join(t.version.RootDir, dropbear.HostKeyFile(kind))
}

// readHostKey is the key in the tree, nil where there is none. It stays, unless
// another is put there.
func (t *Tree) readHostKey(kind string) (*dropbear.HostKey, error) {
	name := t.hostKeyName(kind)
	for _, n := range []string{name, name + ".pub"} {
		if err := t.undo.Keep(n); err != nil {
			return nil, err
		}
	}
	f, err := t.undo.Load(name, nil)
	if err != nil || len(f.Current) == 0 {
		return nil, err
	}
	k, err := dropbear.ParseHostKey(f.Current)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// putHostKey writes a key, and its public half where there was one: it would
// belong to another key.
func (t *Tree) putHostKey(k *dropbear.HostKey) error {
	name := t.hostKeyName(k.Type())
	f, err := t.undo.Load(name, nil)
	if err != nil {
		return err
	}
	f.Mode = 0
	t.undo.Set(name, f, 0o600, k.Marshal())
	pub, err := t.undo.Load(name+".pub", nil)
	if err != nil || pub.Current == nil {
		return err
	}
	t.undo.Set(name+".pub", pub, 0o644, ssh.MarshalAuthorizedKey(k.Public()))
	return nil
}
