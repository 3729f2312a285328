package sysroot

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

// netRaw is the attribute of a file that setcap gave cap_net_raw=ep.
var netRaw = append([]byte{1, 0, 0, 2, 0, 0x20}, make([]byte, 14)...)

// give gives a file capabilities.
func give(t *testing.T, name string, value []byte) {
	t.Helper()
	judge.Root(t, "give files capabilities")
	if err := unix.Setxattr(name, "security.capability", value, 0); err != nil {
		judge.Missing(t, "a file system whose files can have capabilities: "+err.Error())
	}
}

// capabilities is what an open file of a tree tells.
func capabilities(t *testing.T, tree *Tree, name string) ([]byte, error) {
	t.Helper()
	f := judge.Value(tree.Open(name))(t)
	defer f.Close()
	file, ok := f.(interface{ Capabilities() ([]byte, error) })
	if !ok {
		return nil, nil
	}
	return file.Capabilities()
}

// An open file tells its attribute, by either way that a directory is looked into; one that has none tells nothing.
func TestCapabilities(t *testing.T) {
	dir := writeTree(t, t.TempDir(), map[string]string{"usr/bin/ping": "ping", "plain": "plain", "bin": "-> usr/bin"})
	give(t, filepath.Join(dir, "usr/bin/ping"), netRaw)
	for _, slow := range []bool{false, true} {
		tree := open(t, Dir(dir))
		if h := tree.layers[0].layerStore.(*hostDir); slow {
			judge.Must(t, h.fast.close())
			h.fast = nil
		} else if h.fast == nil {
			judge.Missing(t, "openat2, which Linux has since 5.6")
		}
		for name, want := range map[string][]byte{"usr/bin/ping": netRaw, "bin/ping": netRaw, "plain": nil} {
			if got, err := capabilities(t, tree, name); !bytes.Equal(got, want) || (got == nil) != (want == nil) || err != nil {
				t.Errorf("slow %v, %s: %x, %v", slow, name, got, err)
			}
		}
		if got, err := capabilities(t, tree, "usr/bin"); got != nil || err != nil {
			t.Errorf("slow %v, a directory: %x, %v", slow, got, err)
		}
	}
}

// What was opened is asked, whatever has come in its place since: another file, or a link out of the tree.
func TestCapabilitiesSwapped(t *testing.T) {
	outside := writeTree(t, t.TempDir(), map[string]string{"a": "outside"})
	dir := writeTree(t, t.TempDir(), map[string]string{"d/a": "inside"})
	give(t, filepath.Join(outside, "a"), netRaw)
	tree := open(t, Dir(dir))
	f := judge.Value(tree.Open("d/a"))(t)
	defer f.Close()
	judge.Must(t, os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "was")), os.Symlink(outside, filepath.Join(dir, "d")))
	if got, err := f.(*meteredFile).Capabilities(); got != nil || err != nil {
		t.Errorf("%x, %v", got, err)
	}
	judge.Must(t, f.Close())
	if _, err := f.(*meteredFile).Capabilities(); err == nil {
		t.Error("a file that was closed had none")
	}
}
