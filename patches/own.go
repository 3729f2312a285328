package patches

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/manifest"
	"groundhog/patches/scripts"
)

// Some files are groundhog's alone, at paths where Debian has nothing. What lies there and is not groundhog's was put there by the
// owner, and is never written over: [Archive.putOwn] and [Tree.putOwn] refuse that by its name.

// putOwn writes a file that is groundhog's alone into the archive.
func (t *Archive) putOwn(name string, mode uint32, data []byte) error {
	if err := t.checkOwn(name, data); err != nil {
		return err
	}
	return t.putEntry(name, mode, data)
}

// checkOwn refuses to write a file of groundhog's where another one is.
func (t *Archive) checkOwn(name string, data []byte) error {
	e := t.Image.Lookup(name)
	if e == nil || t.ours[t.ownName(name)] || e.IsFile() && bytes.Equal(t.Image.Content(e), data) {
		return nil
	}
	return fmt.Errorf("%s in the archive is not groundhog's, and would be replaced: give it another name where it comes from", name)
}

// recordedPaths is what an earlier run has changed or brought, by the archive's record.
func (t *Archive) recordedPaths() (map[string]bool, error) {
	r, err := readRecord(t.Image)
	if err != nil || r == nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, p := range r.Patches {
		for _, name := range p.Paths {
			all[t.ownName(name)] = true
		}
	}
	return all, nil
}

// ownName is the one name of a path that a record names as that run saw it.
func (t *Archive) ownName(name string) string {
	if dir, ok := t.Image.Resolve(path.Dir(name)); ok {
		name = path.Join(dir, path.Base(name))
	}
	return debian.MergedUsr(name)
}

// putOwn writes a file that is groundhog's alone into the root tree.
func (t *Tree) putOwn(name string, mode fs.FileMode, data []byte) error {
	f, err := t.undo.Load(name, nil)
	if err != nil {
		return err
	}
	if f.Current != nil && !bytes.Equal(f.Current, data) {
		switch known, wrote := t.undo.Wrote(name); {
		case wrote, !known && t.recorded(name):
		case known:
			return fmt.Errorf("%s in the root tree was changed since groundhog wrote it, and would be replaced: remove it, or keep your change elsewhere first", name)
		default:
			return fmt.Errorf("%s in the root tree is not groundhog's, and would be replaced: give it another name", name)
		}
	}
	return t.undo.Own(name, mode, data)
}

// recorded reports whether a file is groundhog's by the record that lies in the tree: the state may be gone, where a tree was copied
// without its /var.
func (t *Tree) recorded(name string) bool {
	b, err := t.readOptional(recordFile)
	if err != nil || b == nil || t.undo.HasState() {
		return false
	}
	r, err := manifest.DecodeRecord(b)
	if err != nil {
		return false
	}
	if name == ownHook || strings.HasPrefix(name, ownDir+"/") {
		return true
	}
	for _, p := range r.Patches {
		for _, at := range p.Paths {
			if path.Join(toolsDir, at) == name {
				return true
			}
		}
	}
	return false
}

// checkOwnersScripts refuses a script of the owner's in /etc that mkinitramfs would take in the place of one of groundhog's: the
// initramfs would not wait, and nothing would say so.
func (t *Tree) checkOwnersScripts() error {
	const etc = "etc/initramfs-tools"
	for _, f := range append(scripts.Files(), scripts.File{Path: scripts.Early}, scripts.File{Path: scripts.Conf}) {
		at := path.Join(etc, f.Path)
		b, err := fs.ReadFile(t.Root, at)
		if errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(f.Path, "scripts/") || !isPlainFile(t.Root, at) {
			continue
		} else if err != nil {
			return err
		}
		if f.Data == nil || !bytes.Equal(b, f.Data) {
			return fmt.Errorf("%s in the root tree would come into the initramfs in the place of groundhog's own: give it another name", at)
		}
	}
	return nil
}
