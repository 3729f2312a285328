package patches

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd/debian"
)

// ownersDropbear is dropbear as its owner set it up, and what becomes of it: the
// port, or why it is refused.
var ownersDropbear = []struct {
	conf, before string // lines of the configuration; what stands before the key
	port         uint16
	refused      string
	options      []string
}{
	{"", "", 22, "", nil},
	{"DROPBEAR_OPTIONS=\"-p 2222\"\n", "", 2222, "", nil},
	{"DROPBEAR_OPTIONS='-s -j -k -I 300 -p 2222'", "no-port-forwarding,no-pty ", 2222, "", nil},
	{"A=2222\nexport DROPBEAR_OPTIONS=-jkp$A\n", "", 2222, "", nil},
	{"DROPBEAR_OPTIONS='-p 2222'\nDROPBEAR_OPTIONS='-p 2223'\n", "", 2223, "", nil},
	{"DROPBEAR_OPTIONS='-p 2222 -p 22'\n", "", 22, "", nil},
	{"#DROPBEAR_OPTIONS='-p 2222'\n", "", 22, "", nil},
	{"DROPBEAR_OPTIONS=\"-p 2222 -s -j -k -c cryptroot-unlock\"\n", "", 0, "--dropbear-option '-p 2222 -s -j -k'", nil},
	{"DROPBEAR_OPTIONS=\"-p 2222 -s -j -k -c cryptroot-unlock\"\n", "", 2222, "", []string{"-p 2222 -s", "-j -k"}},
	{"DROPBEAR_OPTIONS=\"-p 2222 -s -j -k -c cryptroot-unlock\"\n", "", 22, "", []string{""}},
	{"DROPBEAR_OPTIONS=-c/bin/cryptroot-unlock\n", "", 0, "--dropbear-option ''", nil},
	{"DROPBEAR_OPTIONS='-p 127.0.0.1:22'\n", "", 0, "the machine itself", nil},
	{"DROPBEAR_OPTIONS='-Y'\n", "", 0, "would not start", nil},
	{"DROPBEAR_OPTIONS='-w'\n", "", 0, "-w lets root not log in; --dropbear-option ''", nil},
	{"DROPBEAR_OPTIONS='-w'\n", "", 22, "", []string{""}},
	{"DROPBEAR_OPTIONS='-G wheel -p 2222'\n", "", 0, "members of \"wheel\"; --dropbear-option '-p 2222'", nil},
	{"DROPBEAR_OPTIONS='-G wheel -p 2222'\n", "", 2222, "", []string{"-p 2222"}},
	{"DROPBEAR_OPTIONS='-p [::]:2222'\n", "", 2222, "", nil},
	{"DROPBEAR_OPTIONS='-p[2001:db8::1]:2222 -s'\n", "", 2222, "", nil},
	{"DROPBEAR_OPTIONS='-p [::1]:2222'\n", "", 0, "the machine itself", nil},
	{"DROPBEAR_OPTIONS='-p 127.0.0.1:2222 -P /run/*'\n", "", 0, "the machine itself", nil},
	{"DROPBEAR_OPTIONS='-t'\n", "", 0, "wants the passwords that -s forbids", nil},
	{"", "command=\"/bin/cryptroot-unlock\" ", 0, "--authorized-keys FILE", nil},
	{"DROPBEAR_OPTIONS='-p 2222'\n", "restrict,command=\"unlock\" ", 0, "--authorized-keys FILE", nil},
}

// What keeps us from logging in and running a command is refused, with a way out that
// works; the port that the owner chose is what our scripts and known_hosts are told.
func TestOwnersDropbear(t *testing.T) {
	for _, c := range ownersDropbear {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["etc/dropbear/dropbear.conf"] = tiny.Text(c.conf)
		tgt.Archive[tiny.Home+"/.ssh/authorized_keys"].Data = []byte(c.before + tiny.LoginEd25519)
		img := read(t, tgt)
		o := defaults(tgt)
		o.DropbearOptions = c.options
		r, err := apply(img, tgt.Root, o)
		if c.port == 0 {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q, %q: %v, want %q", c.conf, c.before, err, c.refused)
			}
			continue
		}
		judge.Must(t, err)
		facts := debian.Read(img)
		if r.Port != c.port || facts.Server.Port() != c.port || facts.Hindrance() != "" {
			t.Errorf("%q: port %d, want %d; %s", c.conf, r.Port, c.port, facts.Hindrance())
		}
		if told := strings.Contains(text(t, img, confPath), "GROUNDHOG_PORT=2"); told != (c.port != 22) {
			t.Errorf("%q: settings\n%s", c.conf, text(t, img, confPath))
		}
		if o := facts.Server.Options; !slices.Contains(o, "-W") || !slices.Contains(o, "-K") {
			t.Errorf("%q: options %q", c.conf, o)
		}
		if again, err := apply(img, tgt.Root, defaults(tgt)); err != nil || again.Changed() {
			t.Errorf("%q: again %+v, %v", c.conf, again, err)
		}
	}
}

// What keeps some from flashing, or may do so, is told of, and so are the options that count.
func TestDropbearLimits(t *testing.T) {
	const forced = `command="unlock" `
	for _, c := range []struct{ conf, initramfs, keys, note, told string }{
		{"", "", tiny.LoginEd25519, "", "-W 10485760 -K 5"},
		{"", "", forced + tiny.LoginEd25519 + tiny.LoginECDSA, `(ED25519) runs "unlock" and nothing else`, "-W 10485760 -K 5"},
		{"", "", tiny.LoginEd25519 + forced + tiny.LoginEd25519, "", "-W 10485760 -K 5"}, // its first line counts
		{"DROPBEAR_OPTIONS='-W 65536 -K 30'\n", "", tiny.LoginEd25519, "", "-W 65536 -K 30 as configured"},
		{"DROPBEAR_OPTIONS=-W65536\n", "", tiny.LoginEd25519, "", "-W 65536 -K 5 as configured"},
		{"DROPBEAR_OPTIONS='-K 0'\n", "", tiny.LoginEd25519, "-K 0 in etc/dropbear/dropbear.conf: the device does not notice", "-W 10485760 -K 0 as configured"},
		{"DROPBEAR_OPTIONS='-p 192.0.2.9:22'\n", "", tiny.LoginEd25519, "dropbear listens on 192.0.2.9 and on no other address", "-W 10485760 -K 5"},
		{"DROPBEAR_OPTIONS='-p 192.0.2.9:22'\n", "IP=192.0.2.9::192.0.2.1:255.255.255.0::eth0:off\n", tiny.LoginEd25519, "", "-W 10485760 -K 5"},
		{"DROPBEAR_OPTIONS='-p 192.0.2.9:22 -p 2222'\n", "", tiny.LoginEd25519, "", "-W 10485760 -K 5"},
		{"DROPBEAR_OPTIONS='-p [2001:db8::9]:22'\n", "", tiny.LoginEd25519, "initramfs-tools configures IPv4 alone", "-W 10485760 -K 5"},
		{"DROPBEAR_OPTIONS='-p [::]:22'\n", "", tiny.LoginEd25519, "dropbear listens on IPv6 addresses alone (etc/dropbear/dropbear.conf), and initramfs-tools configures IPv4 alone", "-W 10485760 -K 5"},
		{"DROPBEAR_OPTIONS='-p [::]:22 -p 0.0.0.0:22'\n", "", tiny.LoginEd25519, "", "-W 10485760 -K 5"},
	} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["etc/dropbear/dropbear.conf"] = tiny.Text(c.conf)
		tgt.Archive["conf/conf.d/net"] = tiny.Text(c.initramfs)
		tgt.Archive[tiny.Home+"/.ssh/authorized_keys"].Data = []byte(c.keys)
		_, archive := patch(t, tgt, nil)
		tree := hookTree("bookworm")
		tree["etc/dropbear/initramfs/dropbear.conf"], tree["etc/initramfs-tools/conf.d/net"] = tiny.Text(c.conf), tiny.Text(c.initramfs)
		o := Defaults()
		o.AuthorizedKeys = []byte(c.keys)
		hooks := mustHooks(t, tree, o)
		for _, all := range []struct {
			notes   []string
			patches []Applied
		}{{archive.Notes, archive.Patches}, {hooks.Notes, hooks.Patches}} {
			notes := strings.Join(all.notes, "\n")
			if c.note == "" && strings.Contains(notes, "dropbear") || c.note == "" && strings.Contains(notes, "command=") || !strings.Contains(notes, c.note) {
				t.Errorf("%q, %q: noted %q, want %q", c.conf, c.keys, notes, c.note)
			}
			at := slices.IndexFunc(all.patches, func(p Applied) bool { return p.Name == "link" })
			if got := all.patches[at].Summary; !strings.HasPrefix(got+",", "dropbear "+c.told+",") {
				t.Errorf("%q: told %q, want %q", c.conf, got, c.told)
			}
		}
	}
}

// A shell that dropbear lets nobody log in with is named.
func TestShellNotListed(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	tgt.Archive["etc/passwd"].Data = bytes.Replace(tgt.Archive["etc/passwd"].Data, []byte(":/bin/sh"), []byte(":/bin/cryptroot-unlock"), 1)
	if err := refused(t, tgt, nil); !strings.Contains(err.Error(), "etc/shells does not list his shell, /bin/cryptroot-unlock") {
		t.Error(err)
	}
}

// A shell that is none is a forced command by another name; where ours takes its place, that is told.
func TestShellThatIsNone(t *testing.T) {
	for release, want := range map[string]string{"bookworm": "", "bullseye": "root's shell in the archive was /bin/cryptroot-unlock, now /usr/bin/groundhog-shell"} {
		tgt := tiny.New(release, true)
		tgt.Archive["etc/passwd"].Data = bytes.Replace(tgt.Archive["etc/passwd"].Data, []byte(":/bin/sh"), []byte(":/bin/cryptroot-unlock"), 1)
		tgt.Archive["etc/shells"] = tiny.Text("/bin/cryptroot-unlock\n")
		if want == "" {
			if err := refused(t, tgt, nil); !strings.Contains(err.Error(), "root's shell is /bin/cryptroot-unlock, which every login runs") {
				t.Error(err)
			}
			continue
		}
		if _, r := patch(t, tgt, nil); !slices.Contains(r.Notes, want) {
			t.Errorf("%s: noted %q", release, r.Notes)
		}
	}
}

// The ways out that a refusal names.
func TestWaysOut(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	keys := tgt.Archive[tiny.Home+"/.ssh/authorized_keys"]
	keys.Data = []byte("command=\"unlock\" " + tiny.LoginEd25519)
	img, r := patch(t, tgt, func(o *Options) { o.AuthorizedKeys = append(slices.Clone(keys.Data), tiny.LoginECDSA...) })
	if got := debian.Read(img).CommandKeys(); len(got) != 1 || got[0].Type() != "ecdsa-sha2-nistp256" || len(r.AuthorizedKeys) != 2 {
		t.Errorf("%v, %v", got, r.AuthorizedKeys)
	}
	if slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "no more") }) {
		t.Errorf("%q", r.Notes)
	}
	_, r = patch(t, tgt, func(o *Options) { o.AuthorizedKeys = []byte(tiny.LoginECDSA) })
	if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "could log in, and no more") }) {
		t.Errorf("a key went, and is not told of: %q", r.Notes)
	}
	for _, bad := range []string{"-c 'x y'", "-p $X", "-b `x`", "-p 2222; reboot", "-p\n22", "\"", "[::1]:22", "*"} {
		if err := refused(t, tiny.New("bookworm", true), func(o *Options) { o.DropbearOptions = []string{bad} }); !strings.Contains(err.Error(), "dropbear option") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := refused(t, tiny.New("bookworm", true), func(o *Options) { o.DropbearOptions = []string{"-Y"} }); !strings.Contains(err.Error(), "would not start") {
		t.Error(err)
	}
}

// hooks says the same of a root tree.
func TestOwnersDropbearInTree(t *testing.T) {
	for _, c := range ownersDropbear {
		tree := hookTree("bookworm")
		conf := "etc/dropbear/initramfs/dropbear.conf"
		tree[conf] = tiny.Text(c.conf)
		o := Defaults()
		o.AuthorizedKeys = append([]byte(c.before), hookUser("ed25519")...)
		o.DropbearOptions = c.options
		r, err := Hooks(tree, nil, o, "")
		if c.port == 0 {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q, %q: %v, want %q", c.conf, c.before, err, c.refused)
			}
			continue
		}
		judge.Must(t, err)
		applyChanges(t, tree, r.steps())
		if told := strings.Contains(string(tree[path.Join(toolsDir, confPath)].Data), "GROUNDHOG_PORT=2"); told != (c.port != 22) {
			t.Errorf("%q: settings\n%s", c.conf, tree[path.Join(toolsDir, confPath)].Data)
		}
		if slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "machine can tell") }) {
			t.Errorf("%q: %q", c.conf, r.Notes)
		}
		if again := mustHooks(t, tree, o); len(again.Changes) > 0 {
			t.Errorf("%q: again %d changes", c.conf, len(again.Changes))
		}
		revertChanges(t, tree)
		if got := string(tree[conf].Data); got != c.conf {
			t.Errorf("%q: reverted to %q", c.conf, got)
		}
	}
}
