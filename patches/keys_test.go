package patches

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dropbear"
	"groundhog/initrd/show"
)

const archiveKeys = tiny.Home + "/.ssh/authorized_keys"

// Who may log in: those given, else the archive's, else root's in the root
// tree, else those that the package's hook would take.
func TestAuthorizedKeysOrder(t *testing.T) {
	for _, release := range releases {
		v := judge.Value(dropbear.ForRelease(release))(t)
		tgt := tiny.New(release, true)
		hook := v.RootAuthorizedKeys()
		tgt.Root[hook] = tiny.Text("# hook\n" + tiny.LoginECDSA)
		get := func(change func(*Options)) string {
			t.Helper()
			img, r := patch(t, tgt, change)
			if e := img.Lookup(archiveKeys); e.Perm() != 0o600 {
				t.Errorf("%s: %v", release, e)
			}
			if len(r.AuthorizedKeys) != 1 || r.AuthorizedKeys[0].Comment != "bench-ecdsa" {
				t.Errorf("%s: %v", release, r.AuthorizedKeys)
			}
			return text(t, img, archiveKeys)
		}
		given := "# given\n" + tiny.LoginECDSA
		if got := get(func(o *Options) { o.AuthorizedKeys = []byte(given) }); got != given {
			t.Errorf("%s, given: %q", release, got)
		}
		if got := get(nil); got != tiny.LoginECDSA {
			t.Errorf("%s, the archive's: %q", release, got)
		}
		for _, empty := range []*string{nil, new(string)} {
			delete(tgt.Archive, archiveKeys)
			if empty != nil {
				tgt.Archive[archiveKeys] = tiny.Text(" \n")
			}
			if got := get(nil); got != "# who may log in\n"+tiny.LoginECDSA {
				t.Errorf("%s, root's: %q", release, got)
			}
		}
		tgt.Root["root/.ssh/authorized_keys"] = tiny.Text("")
		if got := get(nil); got != "# hook\n"+tiny.LoginECDSA {
			t.Errorf("%s, the hook's: %q", release, got)
		}
		delete(tgt.Root, hook)
		if err := refused(t, tgt, nil); !strings.Contains(err.Error(), "nobody could log in") || !strings.Contains(err.Error(), "--authorized-keys") {
			t.Error(err)
		}
	}
}

// Keys with which nobody could log in are refused, with the reason.
func TestAuthorizedKeysRefused(t *testing.T) {
	for keys, want := range map[string]string{
		"": "empty", "# nobody\n\n": "comments", "garbage\n": "line 1", "ssh-ed25519 AAAA x\n": "line 1",
		"-----BEGIN OPENSSH PRIVATE KEY-----\n": "private",
	} {
		err := refused(t, tiny.New("bookworm", true), func(o *Options) { o.AuthorizedKeys = []byte(keys) })
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the given keys") {
			t.Errorf("%q: %v", keys, err)
		}
	}
	for _, dropbear := range []bool{false, true} {
		err := refused(t, tiny.New("buster", dropbear), func(o *Options) { o.AuthorizedKeys = []byte(tiny.LoginEd25519) })
		for _, want := range []string{"2018.76", "buster", "ssh-ed25519"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("no %q in %v", want, err)
			}
		}
	}
	_, r := patch(t, tiny.New("buster", true), func(o *Options) { o.AuthorizedKeys = []byte(tiny.LoginEd25519 + tiny.LoginECDSA) })
	if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "the given keys: line 1:") }) {
		t.Errorf("%q", r.Notes)
	}
}

// Without an account of root there is nobody whose keys could be put in; wherever
// its home is, they go where dropbear reads them.
func TestHome(t *testing.T) {
	for home, file := range map[string]string{"/": ".ssh/authorized_keys", "r": "r/.ssh/authorized_keys", "/a/b/": "a/b/.ssh/authorized_keys"} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["etc/passwd"] = tiny.Text("root:*:0:0::" + home + "\n")
		img, _ := patch(t, tgt, func(o *Options) { o.AuthorizedKeys = []byte(tiny.LoginEd25519) })
		if b, err := img.ReadFile(file); string(b) != tiny.LoginEd25519 {
			t.Errorf("home %q: %q, %v", home, b, err)
		}
	}
	for _, passwd := range []string{"", "toor:*:0:0::/r:/bin/sh\n", "root:*:0::/r:/bin/sh\n"} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["etc/passwd"] = tiny.Text(passwd)
		if err := refused(t, tgt, nil); !strings.Contains(err.Error(), "etc/passwd") {
			t.Errorf("%q: %v", passwd, err)
		}
	}
}

// types are the kinds of the report's keys, and of those in the archive.
func types(t *testing.T, tgt *tiny.Target, change func(*Options)) (string, []*dropbear.HostKey) {
	t.Helper()
	img, r := patch(t, tgt, change)
	there := debian.Read(img).HostKeys
	var kinds []string
	for i, k := range r.HostKeys {
		kinds = append(kinds, k.Type())
		if k.Fingerprint() != there[i].Fingerprint() {
			t.Errorf("reported %v, in the archive is %v", k, there[i])
		}
		if e := img.Lookup("etc/dropbear/" + dropbear.HostKeyFile(k.Type())); e.Perm() != 0o600 {
			t.Errorf("%v", e)
		}
	}
	if len(there) != len(r.HostKeys) {
		t.Errorf("reported %v, in the archive are %v", r.HostKeys, there)
	}
	return strings.Join(kinds, " "), r.HostKeys
}

// The identity: kept, given, the root tree's, or new; buster has no ed25519.
func TestHostKeys(t *testing.T) {
	ecdsa, ed25519 := tiny.HostKeys[0], tiny.HostKeys[1]
	keep := func(o *Options) { o.HostKeys = nil }
	for _, release := range releases {
		all, kept := "ed25519 ecdsa rsa", "ed25519 ecdsa"
		if release == "buster" {
			all, kept = "ecdsa rsa", "ecdsa"
		}
		tgt := tiny.New(release, true)
		kinds, keys := types(t, tgt, keep)
		if kinds != kept || keys[len(keys)-1].Fingerprint() != ecdsa.Fingerprint() {
			t.Errorf("%s, kept: %s %v", release, kinds, keys)
		}
		if kinds, keys = types(t, tgt, func(o *Options) { o.NewHostKeys = true }); kinds != all {
			t.Errorf("%s, new: %s", release, kinds)
		}
		for _, k := range keys {
			if k.Fingerprint() == ecdsa.Fingerprint() || k.Fingerprint() == ed25519.Fingerprint() {
				t.Errorf("%s, new: %v is the old one", release, k)
			}
		}
		given := func(o *Options) { o.HostKeys = []*dropbear.HostKey{tiny.OtherHostKey} }
		if release == "buster" {
			if err := refused(t, tgt, given); !strings.Contains(err.Error(), "has no ed25519 host keys") {
				t.Error(err)
			}
		} else if kinds, keys = types(t, tgt, given); kinds != kept || keys[0].Fingerprint() != tiny.OtherHostKey.Fingerprint() {
			t.Errorf("%s, given: %s %v", release, kinds, keys)
		}
		// Without any in the archive: the root tree's, and without those new ones.
		tgt = tiny.New(release, false)
		v := judge.Value(dropbear.ForRelease(release))(t)
		tgt.Root[v.RootDir+"/dropbear_ecdsa_host_key"] = tiny.Text(string(ecdsa.Marshal()))
		if kinds, keys = types(t, tgt, keep); kinds != "ecdsa" || keys[0].Fingerprint() != ecdsa.Fingerprint() {
			t.Errorf("%s, the root tree's: %s %v", release, kinds, keys)
		}
	}
	if kinds, _ := types(t, tiny.New("bookworm", false), keep); kinds != "ed25519 ecdsa rsa" {
		t.Errorf("none anywhere: %s", kinds)
	}
}

// A host key that cannot be read, or lies under another kind's name, is named:
// taking it for the other would give the device another identity.
func TestHostKeysRefused(t *testing.T) {
	at := "etc/dropbear/dropbear_rsa_host_key"
	for _, content := range []string{"", "garbage", string(tiny.OtherHostKey.Marshal()), string(tiny.OtherHostKey.Marshal()[:50])} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive[at] = tiny.Text(content)
		if err := refused(t, tgt, nil); !strings.Contains(err.Error(), at) {
			t.Errorf("%q: %v", content, err)
		}
	}
	tgt := tiny.New("bookworm", false)
	tgt.Root["etc/dropbear/initramfs/dropbear_rsa_host_key"] = tiny.Text("garbage")
	if err := refused(t, tgt, func(o *Options) { o.HostKeys = nil }); !strings.Contains(err.Error(), "of the root tree") {
		t.Error(err)
	}
}

// dropbearkey reads every host key in an archive, and says the same of it.
func TestHostKeysReadByDropbear(t *testing.T) {
	judge.Tool(t, "dropbearkey")
	img, r := patch(t, tiny.New("bookworm", true), func(o *Options) { o.NewHostKeys = true })
	for _, k := range r.HostKeys {
		file := filepath.Join(t.TempDir(), "key")
		judge.Must(t, os.WriteFile(file, []byte(text(t, img, "etc/dropbear/"+dropbear.HostKeyFile(k.Type()))), 0o600))
		if got := output(t, "dropbearkey", "-y", "-f", file); !strings.Contains(got, k.Fingerprint()) {
			t.Errorf("%v: %s", k, got)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 keys", 1: "1 key", 2: "2 keys"} {
		if got := show.Count(n, "key"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := show.Count(2, "entry"); got != "2 entries" {
		t.Error(got)
	}
}

// Host keys that -r names are the identity; a key that dropbear would not take from where it is put is refused, unless other options
// come with it. Where -r names no key at all dropbear would not start.
func TestHostKeysByOption(t *testing.T) {
	own, given := tiny.HostKeys[1], tiny.HostKeys[0]
	with := func(name string, key []byte) *tiny.Target {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["etc/dropbear/dropbear.conf"] = tiny.Text("DROPBEAR_OPTIONS=\"-r /" + name + " -j\"\n")
		if key != nil {
			tgt.Archive[name] = tiny.Text(string(key))
		}
		return tgt
	}
	const elsewhere, usual = "etc/dropbear/mine", "etc/dropbear/dropbear_ecdsa_host_key"
	give := func(o *Options) { o.HostKeys = []*dropbear.HostKey{given} }
	_, r := patch(t, with(elsewhere, own.Marshal()), func(o *Options) { o.HostKeys = nil })
	if len(r.HostKeys) != 1 || r.HostKeys[0].Fingerprint() != own.Fingerprint() {
		t.Errorf("kept: %v", r.HostKeys)
	}
	if err := refused(t, with(elsewhere, own.Marshal()), give); !strings.Contains(err.Error(), "-r has dropbear take its host keys from /"+elsewhere) || !strings.Contains(err.Error(), "--dropbear-option '-j'") {
		t.Error(err)
	}
	if err := refused(t, with(elsewhere, nil), func(o *Options) { o.HostKeys = nil }); !strings.Contains(err.Error(), "-r") {
		t.Error(err)
	}
	_, r = patch(t, with(usual, nil), give)
	if len(r.HostKeys) != 1 || r.HostKeys[0].Fingerprint() != given.Fingerprint() {
		t.Errorf("put where -r names it: %v", r.HostKeys)
	}
	img, r := patch(t, with(elsewhere, own.Marshal()), func(o *Options) { o.HostKeys, o.DropbearOptions = nil, []string{"-j"} })
	facts := debian.Read(img)
	if i := slices.IndexFunc(facts.HostKeys, func(k debian.HostKey) bool { return k.Fingerprint() == own.Fingerprint() }); i < 0 || facts.Server.HostKeys != nil {
		t.Errorf("with other options the identity is gone: %v", facts.HostKeys)
	}
	if !slices.ContainsFunc(r.HostKeys, func(k *dropbear.HostKey) bool { return k.Fingerprint() == own.Fingerprint() }) {
		t.Errorf("with other options: reported %v", r.HostKeys)
	}
}

// closedFile is a tree in which one file may not be read.
type closedFile struct {
	fstest.MapFS
	name string
}

func (c closedFile) ReadFile(name string) ([]byte, error) {
	if name == c.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return c.MapFS.ReadFile(name)
}

// Host keys that may not be read are told from other files that may not: new ones do without them alone.
func TestClosedHostKeys(t *testing.T) {
	tgt := tiny.New("bookworm", false)
	v := judge.Value(dropbear.ForRelease("bookworm"))(t)
	key := path.Join(v.RootDir, dropbear.HostKeyFile("ed25519"))
	tgt.Root[key] = tiny.Text("closed")
	for name, want := range map[string]bool{key: true, "root/.ssh/authorized_keys": false} {
		_, err := apply(read(t, tgt), closedFile{tgt.Root, name}, Defaults())
		if !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrHostKeys) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
