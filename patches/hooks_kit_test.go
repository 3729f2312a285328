package patches

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd/debian/dropbear"
	"groundhog/patches/undo"
)

// hookKeys is host keys of every kind, made once, the rsa one small: making a large one takes its time, and so does reading it.
var hookKeys = sync.OnceValue(func() map[string]*dropbear.HostKey {
	keys := map[string]*dropbear.HostKey{}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		newKey := dropbear.GenerateHostKey
		if kind == "rsa" {
			newKey = func(string) (*dropbear.HostKey, error) { return tiny.SmallRSA() }
		}
		k, err := newKey(kind)
		if err != nil {
			panic(err)
		}
		keys[kind] = k
	}
	return keys
})

// hookUser is a line of authorized_keys. Any pair of keys may log in.
func hookUser(kind string) []byte { return ssh.MarshalAuthorizedKey(hookKeys()[kind].Public()) }

// amd64ELF is the header of a program (elf(5)) and nothing else.
var amd64ELF = "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) +
	"\x02\x00\x3e\x00\x01\x00\x00\x00" + strings.Repeat("\x00", 28) + "\x40\x00\x38\x00\x00\x00\x40\x00\x00\x00\x00\x00"

// hookTree is a root tree with scripts in our own words that have the same
// anchors as a release's.
func hookTree(release string) fstest.MapFS {
	v, err := dropbear.ForRelease(release)
	if err != nil {
		panic(err)
	}
	crypttab := ""
	if release == "buster" {
		crypttab = "[ -r /etc/crypttab ] || exit 0\n"
	}
	file := func(text string, mode fs.FileMode) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(text), Mode: mode}
	}
	tree := fstest.MapFS{
		"etc/os-release":                           file("ID=debian\nVERSION_CODENAME="+release+"\n", 0o644),
		"etc/initramfs-tools/initramfs.conf":       file("MODULES=most\nDEVICE=\nRUNSIZE=10%\n", 0o644),
		"etc/initramfs-tools/modules":              file("# one a line\n", 0o644),
		"etc/ssl/certs/ca-certificates.crt":        file("-----BEGIN CERTIFICATE-----\n", 0o644),
		"root/.ssh/authorized_keys":                file(string(hookUser("ecdsa")), 0o600),
		"usr/bin/busybox":                          file("busybox", 0o755),
		"usr/bin/curl":                             file("curl", 0o755),
		"usr/sbin/dropbear":                        file("dropbear", 0o755),
		"usr/sbin/sfdisk":                          file("sfdisk", 0o755),
		"usr/lib/x86_64-linux-gnu/libnss_dns.so.2": file("nss", 0o644),
		"usr/bin/dpkg":                             file(amd64ELF, 0o755),
		"lib/modules/6.1.0/modules.builtin":        file("kernel/drivers/net/mii.ko\n", 0o644),
		v.RootConfig():                             file("# all comments\n#DROPBEAR_OPTIONS=\n", 0o644),
		dropbearHook:                               file("#!/bin/sh\n"+crypttab+". /usr/share/initramfs-tools/hook-functions\ncopy_exec /usr/sbin/dropbear /sbin\n", 0o755),
		path.Join(toolsDir, premountScript):        file("#!/bin/sh\nrun_dropbear() {\n\texec /sbin/dropbear -Fs ${DROPBEAR_OPTIONS-}\n}\n"+nfsLine+"\nrun_dropbear &\necho $! >/run/dropbear.pid\n", 0o755),
	}
	for _, kind := range v.HostKeyTypes() {
		k := hookKeys()[kind]
		tree[path.Join(v.RootDir, dropbear.HostKeyFile(k.Type()))] = &fstest.MapFile{Data: k.Marshal(), Mode: 0o600}
	}
	return tree
}

// hookOptions asks for something of everything.
func hookOptions() Options {
	o := Defaults()
	o.Modules = []string{"mii"}
	o.Tools = []string{"sfdisk"}
	o.CA = []byte("-----BEGIN CERTIFICATE-----\nours\n")
	return o
}

func mustHooks(t *testing.T, tree fstest.MapFS, o Options) *HooksReport {
	t.Helper()
	return judge.Value(Hooks(tree, nil, o, "groundhog test"))(t)
}

// steps is all changes in the order in which they are written.
func (r *HooksReport) steps() []undo.Change {
	return append(append([]undo.Change{}, r.Keep...), r.Changes...)
}
func stepsOf(r *undo.Reverted) []undo.Change {
	return append(append([]undo.Change{}, r.Changes...), r.Drop...)
}

// applyChanges writes changes, as the program does.
func applyChanges(t *testing.T, tree fstest.MapFS, changes []undo.Change) {
	t.Helper()
	for _, c := range changes {
		now := tree[c.Path]
		if (now == nil) != (c.Before == nil) || now != nil && !bytes.Equal(now.Data, c.Before) {
			t.Fatalf("%s is not what the change was worked out from", c.Path)
		}
		if c.After == nil {
			delete(tree, c.Path)
		} else {
			tree[c.Path] = &fstest.MapFile{Data: c.After, Mode: c.Mode}
		}
	}
}

func revertChanges(t *testing.T, tree fstest.MapFS) {
	t.Helper()
	r := judge.Value(undo.Revert(tree))(t)
	if r != nil {
		applyChanges(t, tree, stepsOf(r))
	}
}

// sameTree compares trees, but for what is kept for a revert.
func sameTree(t *testing.T, want, got fstest.MapFS) {
	t.Helper()
	show := func(tree fstest.MapFS) map[string]string {
		m := map[string]string{}
		for name, f := range tree {
			if !strings.HasPrefix(name, undo.KeepDir+"/") {
				m[name] = fmt.Sprintf("%v %s", f.Mode, f.Data)
			}
		}
		return m
	}
	if diff := cmp.Diff(show(want), show(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func eachHookTree(t *testing.T, f func(t *testing.T, tree fstest.MapFS)) {
	for _, release := range dropbear.Releases() {
		t.Run(release, func(t *testing.T) { f(t, hookTree(release)) })
	}
}
