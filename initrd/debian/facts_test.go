package debian_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/handmade"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/initrd/debian"
)

// archiveWith is an archive with a dropbear and the given etc/passwd and options.
func archiveWith(t testing.TB, passwd, options string, more ...initrd.Entry) *initrd.Image {
	t.Helper()
	file, dir := handmade.File, handmade.Dir
	entries := []initrd.Entry{dir("."), file("init", ""), dir("conf"), file("conf/arch.conf", "DPKG_ARCH=\"amd64\"\n"), file("conf/initramfs.conf", "DEVICE=\n"),
		dir("etc"), dir("etc/dropbear"), file("etc/passwd", passwd), file("etc/dropbear/dropbear.conf", options),
		dir("scripts"), file("scripts/functions", ""), dir("scripts/init-premount"), file(debian.Script, tiny.Premount("dropbear.conf")),
		dir("sbin"), file("sbin/dropbear", "SSH-2.0-dropbear_2025.89\x00"), dir("root-x"), dir("root-x/.ssh"), file("root-x/.ssh/authorized_keys", tiny.LoginEd25519),
		dir("evil"), dir("evil/.ssh"), file("evil/.ssh/authorized_keys", tiny.LoginECDSA)}
	return handmade.Archive(t, append(entries, more...)...)
}

const rootLine = "root:*:0:0::/root-x:/bin/sh\n"

// Who may log in is found whatever hides it. (TestLoginsAsDropbear has dropbear
// itself judge this.)
func TestLogins(t *testing.T) {
	const owner, other = "root root-x/.ssh/authorized_keys", "evil/.ssh/authorized_keys"
	for _, c := range []struct {
		passwd, options string
		want            []string
	}{
		{rootLine, "", []string{owner}},
		{"toor:*:0:0::/evil:/bin/sh\n" + rootLine, "", []string{"toor " + other, owner}},
		{"root:*:0:0::/evil\n" + rootLine, "", []string{"root " + other}},
		{rootLine, "DROPBEAR_OPTIONS='-p 2222 -D /evil/.ssh'\n", []string{"root " + other}},
		{rootLine, "DROPBEAR_OPTIONS=$(cat /options)\n", []string{owner, " " + other}},
		{rootLine, "eval x\n", []string{owner, " " + other}},
		{rootLine, "DROPBEAR_OPTIONS=-w\n", nil},
		{"root::0:0::/root-x:/bin/sh\n", "DROPBEAR_OPTIONS=-B\n", []string{"root etc/passwd nothing", owner}},
		{"root::0:0::/root-x:/bin/sh\n", "", []string{owner}},
		{"root:*:0:0::/l/../x:/bin/sh\n", "", []string{" " + other, owner[4:]}},
	} {
		facts := debian.Read(archiveWith(t, c.passwd, c.options))
		var got []string
		for _, l := range facts.Logins {
			line := strings.Join(l.Users, ",") + " " + l.Path
			if l.How != debian.ByKey {
				line += " " + string(l.How)
			}
			got = append(got, line)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q, %q: %q, want %q (%q)", c.passwd, c.options, got, c.want, facts.Problems)
		}
	}
}

// How dropbear is set up is what its options come to.
func TestServer(t *testing.T) {
	for options, want := range map[string]string{
		"": "[22]  ~/.ssh",
		"DROPBEAR_OPTIONS='-p 2222 -s -j -k -I 60'":                   "[2222]  ~/.ssh",
		"DROPBEAR_OPTIONS=\"-p2222 -p [::1]:22 -c cryptroot-unlock\"": "[2222 22] cryptroot-unlock ~/.ssh",
		"A=-jkp\nDROPBEAR_OPTIONS=\"$A 23 -D/etc/keys\"":              "[23]  /etc/keys",
		"DROPBEAR_OPTIONS=-Y":                                         "[22]  ~/.ssh there is no option -Y",
		"DROPBEAR_OPTIONS=-p":                                         "[22]  ~/.ssh -p has no value",
		"DROPBEAR_OPTIONS='-p ssh'":                                   "[22]  ~/.ssh -p \"ssh\" is no port",
		"DROPBEAR_OPTIONS=\"-p 2222\"\r":                              "[22]  ~/.ssh -p \"2222\\r\" is no port",
		"DROPBEAR_OPTIONS=-jk\r":                                      "[22]  ~/.ssh there is no option -\\r",
		"#DROPBEAR_OPTIONS=-p23":                                      "[22]  ~/.ssh",
	} {
		s := debian.Read(archiveWith(t, rootLine, options+"\n")).Server
		if got := strings.TrimSpace(fmt.Sprint(s.Ports(), " ", s.ForcedCommand, " ", s.KeysDir, " ", s.Broken)); got != want {
			t.Errorf("%q: %q, want %q", options, got, want)
		}
	}
}

// Settings are what /init ends up with; what an archive is for is found however it
// is written.
func TestFacts(t *testing.T) {
	img := archiveWith(t, rootLine, "", handmade.Dir("conf/conf.d"), handmade.File("conf/conf.d/b", "export DEVICE='eth1' # mine\n"),
		handmade.File("conf/conf.d/a", "DEVICE=eth2\nIP=dhcp\n"), handmade.File("conf/conf.d/.hidden", "DEVICE=no\n"),
		handmade.Dir("lib"), handmade.Dir("lib/modules"), handmade.Dir("lib/modules/6.1.0-1-amd64"), handmade.Dir("lib/modules/-x"))
	f := debian.Read(img)
	device, sure := f.Settings.Get("DEVICE")
	if device != "eth1" || !sure || f.Settings.Vars["DEVICE"].From != "conf/conf.d/b" {
		t.Errorf("%q, %v, %+v", device, sure, f.Settings.Vars)
	}
	if f.Builder != debian.InitramfsTools || f.Kernel() != "6.1.0-1-amd64" || f.Architecture != "amd64" || f.Release != "trixie" || f.RootKeys() != "root-x/.ssh/authorized_keys" {
		t.Errorf("%+v", f)
	}
}

// What keeps root from running a command of his own, and with which key he may.
// (TestLoginsAsDropbear has dropbear itself judge this.)
func TestHindrance(t *testing.T) {
	forced := `no-pty,command="/bin/cryptroot-unlock \"x\"" `
	for _, c := range []struct{ options, keys, want string }{
		{"", tiny.LoginEd25519, ""},
		{"DROPBEAR_OPTIONS='-p 2222 -s -j -k -I 60'", tiny.LoginEd25519, ""},
		{"DROPBEAR_OPTIONS='-p 2222 -s -j -k -c cryptroot-unlock'", tiny.LoginEd25519, `-c has every login run "cryptroot-unlock"`},
		{"", forced + tiny.LoginEd25519, `command= has every login run one command, as "/bin/cryptroot-unlock`},
		{"", forced + tiny.LoginEd25519 + tiny.LoginECDSA, ""},
		{"", forced + tiny.LoginEd25519 + tiny.LoginEd25519, "command="},
		{"", tiny.LoginEd25519 + forced + tiny.LoginEd25519, ""},
		{"", "restrict,no-port-forwarding " + tiny.LoginEd25519, ""},
		{"", "COMMAND=\"x\",restrict " + tiny.LoginEd25519, "command="},
		{"", "permitopen=\"command:1\" " + tiny.LoginEd25519, ""},
		{"DROPBEAR_OPTIONS=-Y", tiny.LoginEd25519, "dropbear would not start"},
		{"DROPBEAR_OPTIONS='-p 2222'\r", tiny.LoginEd25519, "dropbear would not start"},
		{"DROPBEAR_OPTIONS=-i", tiny.LoginEd25519, "listen on no port"},
		{"DROPBEAR_OPTIONS='-p 127.0.0.1:22 -p ::1:22'", tiny.LoginEd25519, "the machine itself"},
		{"DROPBEAR_OPTIONS='-p 127.0.0.1:22 -p 2222'", tiny.LoginEd25519, ""},
		{"DROPBEAR_OPTIONS=-t", tiny.LoginEd25519, "password"},
		{"DROPBEAR_OPTIONS=-w", tiny.LoginEd25519, "root"},
		{"DROPBEAR_OPTIONS='-G wheel'", tiny.LoginEd25519, `members of "wheel"`},
		{"DROPBEAR_OPTIONS='-G root'", tiny.LoginEd25519, ""},
		{"DROPBEAR_OPTIONS='-G adm'", tiny.LoginEd25519, ""},
	} {
		img := archiveWith(t, rootLine, c.options+"\n", handmade.File("etc/group", "root:!:0:\nwheel:!:10:me\nadm:!:4:me,root\n"))
		judge.Value(img.Put("root-x/.ssh/authorized_keys", initrd.File{Mode: initrd.TypeFile | 0o600, Data: []byte(c.keys)}))(t)
		f := debian.Read(img)
		if got := f.Hindrance(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q, %q: %q, want %q", c.options, c.keys, got, c.want)
		}
		if may := len(f.CommandKeys()) > 0; may != (c.want == "") {
			t.Errorf("%q, %q: keys %v", c.options, c.keys, f.CommandKeys())
		}
	}
}

// The port is the one that others can reach, and harmless options are what is left.
func TestPortAndHarmless(t *testing.T) {
	for options, want := range map[string]string{
		"":                                     "22 []",
		"-p 2222 -s -j -k -c cryptroot-unlock": "2222 [-p 2222 -s -j -k]",
		"-p 2222 -p 22":                        "22 [-p 2222 -p 22]",
		"-p2222 -jkc x -p 127.0.0.1:23":        "2222 [-p 2222 -j -k]",
		"-p 127.0.0.1:22 -p 192.0.2.1:23":      "23 [-p 192.0.2.1:23]",
		"-p ::1:22":                            "0 [-p ::1:22]",
		"-W 99 -K 1 -I 60 -G x -t -w -i":       "22 [-I 60]",
		"-p 2222 -I soon -T 0 -r /x -b /x -j":  "2222 [-p 2222 -b /x -j]",
		"-p ssh -j":                            "22 [-j]",
	} {
		s := debian.Read(archiveWith(t, rootLine, "DROPBEAR_OPTIONS='"+options+"'\n")).Server
		if got := fmt.Sprint(s.Port(), " ", s.Harmless()); got != want {
			t.Errorf("%q: %s, want %s", options, got, want)
		}
	}
}

// After an edit the facts are those of the archive as it is now; of a host key that is still the same it is known what it is.
func TestReadAgain(t *testing.T) {
	const name, server = "etc/dropbear/dropbear_ed25519_host_key", "sbin/dropbear"
	key := string(tiny.HostKeys[1].Marshal())
	img := archiveWith(t, rootLine, "", handmade.File(name, key))
	said := func(f *debian.Facts) string {
		text := fmt.Sprint(f.Problems, f.Logins)
		for _, k := range f.PublicKeys() {
			text += " " + ssh.FingerprintSHA256(k)
		}
		return text
	}
	f := debian.Read(img)
	if len(f.HostKeys) != 1 {
		t.Fatalf("%v, %q", f.HostKeys, f.Problems)
	}
	for _, edit := range []struct{ name, text string }{{"etc/passwd", "toor:*:0:0::/evil:/bin/sh\n"}, {server, "SSH-2.0-dropbear_2019.78\x00"},
		{server, "SSH-2.0-dropbear_2025.89\x00"}, {name, "no key"}, {name, string(tiny.HostKeys[0].Marshal())}, {name, key}} {
		if _, err := img.Put(edit.name, initrd.File{Data: []byte(edit.text)}); err != nil {
			t.Fatal(err)
		}
		before := f
		f = f.ReadAgain(img)
		if got, want := said(f), said(debian.Read(img)); got != want {
			t.Errorf("%s: %s, want %s", edit.name, got, want)
		}
		if edit.name == "etc/passwd" && f.HostKeys[0] != before.HostKeys[0] {
			t.Error("a host key was parsed once more")
		}
	}
}

// That root's shell is not listed is a problem where there is a dropbear to mind it.
func TestShellNotListed(t *testing.T) {
	const passwd = "root:x:0:0::/root:/bin/bash\n"
	for want, img := range []*initrd.Image{handmade.Archive(t, handmade.Dir("."), handmade.Dir("etc"), handmade.File("etc/passwd", passwd)), archiveWith(t, passwd, "")} {
		said := strings.Join(debian.Read(img).Problems, "\n")
		if got := strings.Count(said, "etc/shells does not list his shell, /bin/bash"); got != want {
			t.Errorf("%d: %q", want, said)
		}
	}
}
