package patches

import (
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
	{"DROPBEAR_OPTIONS='-w'\n", "", 0, "", nil}, // refused with the keys
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
