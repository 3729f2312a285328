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
func (t *Archive) authorizedKeys() (string, error) {
	facts := t.facts()
	if s := facts.Server; t.opts.DropbearOptions != nil && (s.NoRoot || s.Group != "" || s.KeysDir != "~/.ssh") { // which these replace
		if err := t.editGenerated(t.version.ArchiveConfig, t.withOptions); err != nil {
			return "", err
		}
		facts = t.facts()
	}
	name := facts.RootKeys()
	if name == "" {
		return "", errors.New("etc/passwd: no home of root in it")
	}
	keys, from, err := t.chooseKeys(name)
	if err != nil {
		return "", err
	}
	usable, err := t.usableKeys(keys, from)
	if err != nil {
		return "", err
	}
	t.noteReplaced(facts, name, usable)
	if err := t.putKeys(name, strings.Trim(facts.Root().Home, "/"), keys); err != nil {
		return "", err
	}
	if after := t.facts(); !after.LetsIn("root", name) {
		why := after.Problems
		if len(why) == 0 {
			why = []string{after.Hindrance() + t.instead(after.Server)}
		}
		return "", fmt.Errorf("dropbear would let nobody in as root: %s", strings.Join(why, "; "))
	}
	return fmt.Sprintf("%s from %s", show.Count(len(usable), "key"), from), nil
}

// usableKeys is the keys that the target's dropbear takes, of a text that is from there; what else is in it is told of.
func (t *editTarget) usableKeys(text []byte, from string) ([]dropbear.AuthorizedKey, error) {
	usable, problems, err := dropbear.CheckAuthorizedKeys(text, t.version)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	for _, p := range problems {
		t.addNote("%s: %s", from, p)
	}
	return usable, nil
}

// noteReplaced tells of keys that were let in and are no more.
func (t *Archive) noteReplaced(facts *debian.Facts, name string, usable []dropbear.AuthorizedKey) {
	for _, l := range facts.Logins {
		kept := slices.ContainsFunc(usable, func(k dropbear.AuthorizedKey) bool { return k.Fingerprint() == l.Key.Fingerprint() })
		if l.How == debian.ByKey && l.Path == name && !kept {
			t.addNote("%s could log in, and no more: the given keys take the place of the archive's", l.Key)
		}
	}
}

// putKeys writes the file that dropbear reads, in directories that nobody else can
// write to, as it wants them: those from root's home on are root's alone.
func (t *Archive) putKeys(name, home string, keys []byte) error {
	var dirs []string
	for dir := path.Dir(name); dir != "." && dir != path.Dir(home); dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	for _, dir := range slices.Backward(dirs) {
		_, there := t.Image.Resolve(dir)
		if there && dir != home && !strings.HasPrefix(dir, home+"/") {
			continue
		}
		if err := t.putEntry(dir, initrd.TypeDir|0o700, nil); err != nil {
			return err
		}
	}
	return t.putEntry(name, initrd.TypeFile|0o600, keys)
}

func (t *Archive) chooseKeys(name string) (keys []byte, from string, err error) {
	if t.opts.AuthorizedKeys != nil {
		return t.opts.AuthorizedKeys, "the given keys", nil
	}
	if old, err := t.Image.ReadFile(name); err == nil && len(bytes.TrimSpace(old)) > 0 {
		return old, "the archive", nil
	}
	for _, name := range []string{"root/.ssh/authorized_keys", t.version.RootAuthorizedKeys()} {
		b, err := t.readOptional(name)
		if err != nil {
			return nil, "", err
		}
		if len(bytes.TrimSpace(b)) > 0 {
			return b, name + " of the root tree", nil
		}
	}
	return nil, "", errors.New("nobody could log in: the archive and the root tree have no authorized keys, give some with --authorized-keys")
}

// authorizedKeys puts in the keys that were given, or keeps those that the hook
// finds already, or takes root's.
func (t *Tree) authorizedKeys() (string, error) {
	name := t.version.RootAuthorizedKeys()
	now, err := t.undo.Load(name, nil)
	if err != nil {
		return "", err
	}
	keys, from := t.opts.AuthorizedKeys, "the given keys"
	if keys == nil {
		keys, from = now.Current, name
	}
	if len(bytes.TrimSpace(keys)) == 0 && t.opts.AuthorizedKeys == nil {
		from = "root/.ssh/authorized_keys"
		if keys, err = t.readOptional(from); err != nil {
			return "", err
		}
		if len(bytes.TrimSpace(keys)) == 0 {
			return "", fmt.Errorf("nobody could log in: no keys in %s nor in %s, give some with --authorized-keys", name, from)
		}
	}
	usable, err := t.usableKeys(keys, from)
	if err != nil {
		return "", err
	}
	t.report.AuthorizedKeys = usable
	summary := show.Count(len(usable), "key") + " in " + name
	if bytes.Equal(keys, now.Current) {
		return summary, t.undo.Keep(name)
	}
	before, _, _ := dropbear.CheckAuthorizedKeys(now.Current, t.version)
	for _, k := range before {
		if !slices.ContainsFunc(usable, k.SameKey) {
			t.addNote("%s could log in, and no more: the given keys take the place of those in %s", k, name)
		}
	}
	if t.opts.AuthorizedKeys == nil {
		t.addNote("those who may log in as root, by %s, may log in to the initramfs", from)
	}
	t.undo.Set(name, now, 0o600, keys)
	return summary, nil
}
