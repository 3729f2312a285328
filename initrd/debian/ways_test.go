package debian_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/handmade"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/initrd/debian"
)

// What Debian's dropbear-initramfs has is no way in beside dropbear, and what else starts a server or changes what dropbear goes by is.
func TestWays(t *testing.T) {
	const bottom = `#!/bin/sh
# dropbear is over
EXE="$(readlink -f /sbin/dropbear)" && [ -f "$EXE" ] || exit 1
rm -f ~root/.ssh/authorized_keys
if [ -e /etc/dropbear/dropbear.conf ]; then
    . /etc/dropbear/dropbear.conf
fi
wait_for_dropbear() { cat /run/dropbear.pid; }
log_begin_msg "Stopping dropbear ($EXE)"
`
	for what, c := range map[string]struct{ name, text, want string }{
		"Debian's":            {"scripts/init-bottom/dropbear", bottom, ""},
		"its order":           {"scripts/init-premount/ORDER", "/scripts/init-premount/dropbear \"$@\"\n[ -e /conf/param.conf ] && . /conf/param.conf\n", ""},
		"more in its order":   {"scripts/init-premount/ORDER", "/scripts/init-premount/dropbear \"$@\"\nmount /x\n", "scripts/init-premount/dropbear: scripts/init-premount/ORDER: it does more than run scripts"},
		"words in a message":  {"scripts/init-top/x", "log_begin_msg \"no sshd\"\n", ""},
		"more than a message": {"scripts/init-top/x", "log_begin_msg \"no $(sshd)\"\n", "scripts/init-top/x: it names sshd"},
		"by a variable":       {"scripts/init-top/x", "d=/sbin/dropbear; $d -D /x\n", "scripts/init-top/x: it names dropbear"},
		"a script elsewhere":  {"usr/lib/x", "#!/bin/sh\nsetsid telnetd -l /bin/sh\n", "usr/lib/x: it names telnetd"},
		"what may be sourced": {"usr/share/x", "setsid telnetd -l /bin/sh\n", "usr/share/x: it names telnetd"},
		"no text":             {"usr/share/x", "\x7fELF\x00 telnetd /etc/passwd\n", ""},
		"a record":            {"etc/groundhog/patches.json", "{\n\"paths\": [\n\"root-x/.ssh/authorized_keys\"\n]\n}\n", ""},
		"a record, sourced":   {"scripts/init-top/x", ". /etc/groundhog/patches.json\n", "scripts/init-top/x: it names groundhog/patches.json"},
		"preloaded":           {"etc/ld.so.preload", "/x.so\n", "etc/ld.so.preload: every program loads what it names"},
		"an index of modules": {"usr/lib/modules/6/modules.alias", "alias getty x\n", ""},
		"keys at boot":        {"scripts/init-top/x", "cat /x >>/root*/.ssh/authorized_keys\n", "scripts/init-top/x: it names .ssh/, authorized_keys"},
		"a netcat":            {"init", "while :; do nc -v -l -p 23 -e /bin/sh; done\n", "init: it names nc"},
		"no netcat":           {"init", "nc host 80 </dev/null; rsync -e ssh\n", ""},
		"too long":            {"scripts/init-top/x", strings.Repeat("# nothing\n", 7000), "scripts/init-top/x: too long to look into"},
		"sshd":                {"usr/sbin/sshd", "\x7fELF", "usr/sbin/sshd: a server"},
		"a document":          {"usr/share/doc/sshd", "it is", ""},
		"accounts elsewhere":  {"etc/nsswitch.conf", "passwd:files extrausers\n", "scripts/init-premount/dropbear: etc/nsswitch.conf: accounts may come from elsewhere than etc/passwd"},
		"accounts in files":   {"etc/nsswitch.conf", "# passwd: db\npasswd:\tfiles # no db\nhosts: files dns\n", ""},
		"no end of accounts":  {"etc/passwd", strings.Repeat("# nothing\n", 110000), "etc/passwd: too long to look into; scripts/init-premount/dropbear: etc/passwd: too long to look into"},
	} {
		img := archiveWith(t, "root:*:0:0::/root-x:/bin/sh\n", "", handmade.Dir("scripts/init-top"), handmade.Dir("scripts/init-bottom"), handmade.Dir("usr"), handmade.Dir("usr/sbin"),
			handmade.Dir("usr/lib"), handmade.Dir("usr/lib/modules"), handmade.Dir("usr/lib/modules/6"), handmade.Dir("usr/share"), handmade.Dir("usr/share/doc"), handmade.Dir("etc/groundhog"), handmade.File("x", tiny.LoginEd25519), handmade.File(c.name, c.text))
		var got []string
		for _, w := range debian.Read(img).Ways(img) {
			got = append(got, w.Path+": "+w.What)
		}
		slices.Sort(got)
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// Accounts whose homes lead through long links, and shells without end, are looked into as far as that takes no time to speak of; who is
// beyond that is not passed over in silence.
func TestAccountsAreBounded(t *testing.T) {
	var passwd, shells strings.Builder
	for i := range 60000 {
		fmt.Fprintf(&passwd, "a%05d::0:0::/l\n", i)
	}
	for i := range 100000 {
		fmt.Fprintf(&shells, "/%06d\n", i)
	}
	entries := []initrd.Entry{handmade.Dir("etc"), handmade.File("etc/passwd", passwd.String()), handmade.File("etc/shells", shells.String()+"/bin/sh\n"), handmade.Dir("d"), handmade.Dir("h"),
		handmade.Dir("h/.ssh"), handmade.File("h/.ssh/authorized_keys", tiny.LoginEd25519), handmade.Dir("evil"), handmade.File("evil/authorized_keys", tiny.LoginECDSA), handmade.Link("l39", "h")}
	for i := range 39 {
		entries = append(entries, handmade.Link(strings.TrimSuffix(fmt.Sprintf("l%d", i), "0"), fmt.Sprintf("%sl%d", strings.Repeat("d/../", 30), i+1)))
	}
	img := handmade.Archive(t, entries...)
	f := debian.Read(img)
	if len(f.Accounts) != 60000 || !strings.Contains(strings.Join(f.Problems, "; "), "60000 accounts are too many") || len(f.LoginKeys()) != 2 || len(f.Ways(img)) == 0 {
		t.Errorf("%d accounts, %d logins, %q, %v", len(f.Accounts), len(f.Logins), f.Problems, f.Ways(img))
	}
}

// Names like a server's that lead to the known server, or to busybox, through long links are followed as far as that takes no time to speak of; those beyond
// that are named as servers, whatever they lead to.
func TestServersAreBounded(t *testing.T) {
	entries := []initrd.Entry{handmade.Dir("d"), handmade.Dir("bin"), handmade.Dir("sbin"), handmade.File("bin/busybox", "box"), handmade.Link("sbin/telnetd", "../bin/busybox"),
		handmade.Link("l39", "bin/busybox")}
	for i := range 39 {
		entries = append(entries, handmade.Link(strings.TrimSuffix(fmt.Sprintf("l%d", i), "0"), fmt.Sprintf("%sl%d", strings.Repeat("d/../", 30), i+1)))
	}
	const few, many = 500, 4000
	var names []string
	for i := range many {
		dir := fmt.Sprintf("s%05d", i)
		names = append(names, dir+"/bin/telnetd")
		entries = append(entries, handmade.Dir(dir), handmade.Dir(dir+"/bin"), handmade.Link(dir+"/bin/telnetd", "/l"))
		if i == few {
			img := handmade.Archive(t, entries...)
			if ways := debian.Read(img).Ways(img); len(ways) != 0 {
				t.Errorf("%d names of busybox: %v", few, ways)
			}
		}
	}
	img := handmade.Archive(t, entries...)
	ways := debian.Read(img).Ways(img)
	if len(ways) < many/2 || ways[0].What != "a server" || !slices.Contains(names, ways[0].Path) {
		t.Errorf("%d ways, of %d names", len(ways), many)
	}
}

// What is looked into of a root tree has bounds, too, and what is beyond them is named.
func TestRootIsBounded(t *testing.T) {
	f := debian.ReadRoot(fstest.MapFS{"etc/passwd": tiny.Text(strings.Repeat("# nothing\n", 200000)), "etc/os-release": tiny.Text("ID=debian\n" + strings.Repeat("#\n", 100000)),
		"etc/dropbear/initramfs/authorized_keys": tiny.Text(strings.Repeat(tiny.LoginEd25519, 100000))})
	if got := strings.Join(f.Problems, "; "); got != "etc/passwd: too long to look into; etc/dropbear/initramfs/authorized_keys: too long to look into" || f.Logins != nil || f.System.ID != "" {
		t.Errorf("%q, %d logins, %+v", got, len(f.Logins), f.System)
	}
}
