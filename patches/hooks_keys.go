package patches

import (
	"bytes"
	"fmt"
	"path"
	"slices"

	"golang.org/x/crypto/ssh"

	"groundhog/initrd/debian/dropbear"
	"groundhog/initrd/show"
)

// authorizedKeys puts in the keys that were given, or keeps those that the hook
// finds already, or takes root's.
func (h *hooks) authorizedKeys() (string, error) {
	name := h.version.RootAuthorizedKeys()
	now, err := h.load(name, nil)
	if err != nil {
		return "", err
	}
	keys, from := h.opts.AuthorizedKeys, "the given keys"
	if keys == nil {
		keys, from = now.current, name
	}
	if len(bytes.TrimSpace(keys)) == 0 && h.opts.AuthorizedKeys == nil {
		from = "root/.ssh/authorized_keys"
		if keys, err = h.optional(from); err != nil {
			return "", err
		}
		if len(bytes.TrimSpace(keys)) == 0 {
			return "", fmt.Errorf("nobody could log in: no keys in %s nor in %s, give some with --authorized-keys", name, from)
		}
	}
	usable, problems, err := dropbear.CheckAuthorizedKeys(keys, h.version)
	if err != nil {
		return "", fmt.Errorf("%s: %w", from, err)
	}
	for _, p := range problems {
		h.note("%s: %s", from, p)
	}
	h.report.AuthorizedKeys = usable
	summary := show.Count(len(usable), "key") + " in " + name
	if bytes.Equal(keys, now.current) {
		return summary, h.keep(name)
	}
	if h.opts.AuthorizedKeys == nil {
		h.note("those who may log in as root, by %s, may log in to the initramfs", from)
	}
	h.set(name, now, 0o600, keys)
	return summary, nil
}

// hostKeys keeps the keys in the tree, or puts in others. The public halves that
// newer packages keep beside them follow.
func (h *hooks) hostKeys() (string, error) {
	var have []*dropbear.HostKey
	for _, kind := range h.version.HostKeyTypes() {
		k, err := h.hostKey(kind)
		if err != nil {
			return "", err
		}
		if k != nil {
			have = append(have, k)
		}
	}
	keys, summary, err := h.chooseHostKeys(have)
	if err != nil {
		return "", err
	}
	all := map[string]*dropbear.HostKey{}
	for _, k := range append(slices.Clone(have), keys...) {
		all[k.Type()] = k
		if slices.Contains(have, k) {
			continue
		}
		if !slices.Contains(h.version.HostKeyTypes(), k.Type()) {
			return "", fmt.Errorf("%v has no %s host keys", h.version, k.Type())
		}
		if err := h.putHostKey(k); err != nil {
			return "", err
		}
	}
	for _, kind := range h.version.HostKeyTypes() {
		if all[kind] != nil {
			h.report.HostKeys = append(h.report.HostKeys, all[kind])
		}
	}
	return summary, nil
}

func (h *hooks) hostKeyName(kind string) string {
	return path.Join(h.version.RootDir, "dropbear_"+kind+"_host_key")
}

// hostKey is the key in the tree, nil where there is none. It stays, unless
// another is put there.
func (h *hooks) hostKey(kind string) (*dropbear.HostKey, error) {
	name := h.hostKeyName(kind)
	for _, n := range []string{name, name + ".pub"} {
		if err := h.keep(n); err != nil {
			return nil, err
		}
	}
	f, err := h.load(name, nil)
	if err != nil || len(f.current) == 0 {
		return nil, err
	}
	k, err := dropbear.ParseHostKey(f.current)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// putHostKey writes a key, and its public half where there was one: it would
// belong to another key.
func (h *hooks) putHostKey(k *dropbear.HostKey) error {
	name := h.hostKeyName(k.Type())
	f, err := h.load(name, nil)
	if err != nil {
		return err
	}
	f.mode = 0
	h.set(name, f, 0o600, k.Marshal())
	pub, err := h.load(name+".pub", nil)
	if err != nil || pub.current == nil {
		return err
	}
	h.set(name+".pub", pub, 0o644, ssh.MarshalAuthorizedKey(k.Public()))
	return nil
}
