package patches

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/handedits"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/initrd/debian"
)

// settingsOf writes an archive's settings into a directory as they lie in it.
func settingsOf(t *testing.T, img *initrd.Image) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range debian.SettingsFiles(img) {
		judge.Must(t, os.MkdirAll(filepath.Join(dir, path.Dir(f.Name)), 0o755))
		judge.Must(t, os.WriteFile(filepath.Join(dir, f.Name), f.Text, 0o644))
	}
	return dir
}

// deviceAsInit is what a shell that does as /init has in DEVICE, having sourced the
// settings below dir; false where that ends it.
func deviceAsInit(sh []string, dir string) (string, bool) {
	cmd := exec.Command(sh[0], append(sh[1:], "-c", `export IP= DEVICE= BOOTIF=; unset X
for f in conf/arch.conf conf/initramfs.conf conf/conf.d/*; do [ ! -f "$f" ] || . "./$f"; done; printf '<%s>' "$DEVICE"`)...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, err := cmd.Output()
	at := strings.LastIndexByte(string(out), '<')
	if err != nil || at < 0 || !strings.HasSuffix(string(out), ">") {
		return "", false
	}
	return string(out[at+1 : len(out)-1]), true
}

// handEdited is archives whose settings somebody has changed by hand.
func handEdited() map[string]*tiny.Target {
	all := map[string]*tiny.Target{}
	add := func(name string, files map[string]string) {
		tgt := tiny.New("bookworm", true)
		for at, text := range files {
			tgt.Archive[at] = tiny.Text(text)
		}
		all[name] = tgt
	}
	for i, text := range handedits.Settings {
		add(fmt.Sprintf("%d conf %q", i, text), map[string]string{initramfsConf: text})
		add(fmt.Sprintf("%d conf.d %q", i, text), map[string]string{initramfsConf: "DEVICE=first\n", "conf/conf.d/net": text})
		add(fmt.Sprintf("%d both %q", i, text), map[string]string{initramfsConf: text, "conf/conf.d/a": "MODULES=most\n", "conf/conf.d/b": "DEVICE=bond0\nexport DEVICE\n", "conf/conf.d/c": "# no more"})
	}
	for _, text := range []string{"", "# nothing", "MODULES=most", "DEVICE=eth0.43\n", "DEVICE=bond0", "DEVICE=br-lan\n", "DEVICE=enx0123456789ab\n", "DEVICE=wlan0\nDEVICE=\n",
		"DEVICE=eth1\nX=$DEVICE\n", "DEVICE=eth1; X=1\n", "DEVICE=eth1 && true\n", "if true; then\n  DEVICE=eth1\nfi\n", "DEVICE=\"\"  # none\n", "export DEVICE=\n", "DEVICE=eth1\nunset DEVICE"} {
		add("more "+text, map[string]string{initramfsConf: text})
	}
	return all
}

// A shell says of every hand edit that what it made of DEVICE is what it makes of it
// after patching, or eth0 where it made nothing of it; and with --device what was
// asked for. Nothing else of the settings changes. What only the machine can tell is
// left alone, and said.
func TestDeviceAsShells(t *testing.T) { deviceAsShells(t, 6) }

// deviceAsShells tries one hand edit in some.
func deviceAsShells(t *testing.T, one int) {
	shells := [][]string{{judge.Tool(t, "dash")}, {judge.Tool(t, "busybox"), "sh"}}
	proven := 0
	edited := handEdited()
	for i, name := range slices.Sorted(maps.Keys(edited)) {
		if i%one != 0 {
			continue
		}
		tgt := edited[name]
		for _, want := range []string{"", "enp9s0"} {
			img := read(t, tgt)
			before := settingsOf(t, img)
			target, err := openArchive(img, nil, nil, Options{Board: "generic", Device: want})
			judge.Must(t, err)
			_, err = target.networkInterface()
			after := settingsOf(t, img)
			for _, sh := range shells {
				was, lives := deviceAsInit(sh, before)
				if !lives {
					continue // a boot that stops here stopped before
				}
				if err != nil {
					if want != "" || was == "" || deviceName.MatchString(was) {
						t.Errorf("%s, --device %q: %v (%v has DEVICE=%q)", name, want, err, sh, was)
					}
					continue
				}
				now, alive := deviceAsInit(sh, after)
				notes := strings.Join(target.notes, "\n")
				left := strings.Contains(notes, "is left to what the machine") || strings.Contains(notes, "only the machine can tell")
				expect := cmp.Or(want, was, firstDevice)
				switch {
				case left && now == was && alive:
				case alive && now == expect:
					proven++
				default:
					t.Errorf("%s, --device %q: %v had DEVICE=%q, now %q (%v); %s", name, want, sh, was, now, alive, notes)
				}
				said := strings.Contains(notes, "DEVICE was ")
				if said && want == "" || !said && !left && want != "" && was != "" && was != want {
					t.Errorf("%s, --device %q: DEVICE was %q, and is told: %s", name, want, was, notes)
				}
			}
		}
	}
	if t.Logf("%d proven", proven); proven < 800/one {
		t.Errorf("only %d were not left to the machine", proven)
	}
}

// The edit is the smallest that does: the last plain line that sets DEVICE, or one more.
func TestGiveDevice(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\nDEVICE=\nB=2\n":              "A=1\nDEVICE=x\nB=2\n",
		"DEVICE=a\nDEVICE=b # second\n":    "DEVICE=a\nDEVICE=x # second\n",
		"export DEVICE=\"a\"":              "export DEVICE=x",
		"A=1":                              "A=1\nDEVICE=x\n",
		"":                                 "DEVICE=x\n",
		"DEVICE=a; B=2\n":                  "DEVICE=a; B=2\nDEVICE=x\n",
		"DEVICE=a\nB=$DEVICE\n":            "DEVICE=a\nB=$DEVICE\nDEVICE=x\n",
		"if [ -e /x ]; then\nDEVICE=a\nfi": "if [ -e /x ]; then\nDEVICE=a\nfi\nDEVICE=x\n",
		"DEVICE=a\r\n":                     "DEVICE=x\n",
		"readonly DEVICE=a\n":              "readonly DEVICE=x\n",
		"DEVICE=x\n":                       "", // nothing to do
		"eval DEVICE=a\n":                  "", // nobody knows
	} {
		at, got, err := giveDevice([]debian.SourceFile{{Name: initramfsConf, Text: []byte(text)}}, initramfsConf, "x")
		if err != nil || string(got) != want || (at < 0) != (want == "") {
			t.Errorf("%q: %q, %d, %v; want %q", text, got, at, err, want)
		}
	}
	files := []debian.SourceFile{{Name: initramfsConf, Text: []byte("DEVICE=a\n")}, {Name: "conf/conf.d/1", Text: []byte("DEVICE=b\n")}, {Name: "conf/conf.d/2", Text: []byte("X=1\n")}}
	if at, got, err := giveDevice(files, initramfsConf, "x"); at != 1 || string(got) != "DEVICE=x\n" || err != nil {
		t.Errorf("%d: %q, %v", at, got, err)
	}
	if _, _, err := giveDevice([]debian.SourceFile{{Name: initramfsConf, Text: []byte("DEVICE=a\nreadonly DEVICE\n[ -e /x ]")}}, initramfsConf, "x"); err != nil {
		t.Error(err) // the assignment itself can change
	}
}

// What names the interface besides DEVICE stays as well; what cannot name one is
// refused; what --device does not get the better of is said.
func TestDeviceNamedElsewhere(t *testing.T) {
	for _, c := range []struct{ conf, device, ours, conf2, note string }{
		{"IP=192.0.2.9::192.0.2.1:255.255.255.0:box:eth1:off\n", "", "", "", ""},
		{"IP=dhcp\n", "", anyDevice, "IP=dhcp\nDEVICE=eth0\n", ""},
		{"IP=:::::eth1:dhcp\n", "eth2", "eth2", "IP=:::::eth1:dhcp\nDEVICE=eth2\n", "IP in conf/initramfs.conf names the interface, and comes before DEVICE"},
		{"BOOTIF=01-02-00-00-00-00-01\n", "", "", "", ""},
		{"DEVICE=wlan0\n", "any", anyDevice, "DEVICE=\n", "DEVICE was wlan0, now any interface"},
		{"IP=enp3s0\n", "", "", "", ""}, // ipconfig takes it for an interface
		{"IP=enp3s0\n", "eth1", "eth1", "IP=enp3s0\nDEVICE=eth1\n", "IP in conf/initramfs.conf names the interface, and comes before DEVICE"},
		{"IP=both\n", "", anyDevice, "IP=both\nDEVICE=eth0\n", ""},
		{"DEVICE='a b'\n", "eth0", "eth0", "DEVICE=eth0\n", `DEVICE was "a b", now eth0`},
	} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive[initramfsConf] = tiny.Text(c.conf)
		img, r := patch(t, tgt, func(o *Options) { o.Device = c.device })
		if c.conf2 == "" {
			c.conf2 = c.conf
		}
		if got := text(t, img, initramfsConf); got != c.conf2 || !strings.Contains("\n"+text(t, img, confPath), "\nGROUNDHOG_DEVICE="+c.ours+"\n") {
			t.Errorf("%q: %q\n%s", c.conf, got, text(t, img, confPath))
		}
		if got := strings.Join(r.Notes, "\n"); got != c.note {
			t.Errorf("%q: noted %q, want %q", c.conf, got, c.note)
		}
	}
	for conf, want := range map[string]string{"IP=[2001:db8::1]::[fe80::1]:64:box:eth0:off\n": "IP=\"[2001:db8::1]::[fe80::1]:64:box:eth0:off\" has an IPv6 address",
		"IP=2001:db8::9\n": `IP="2001:db8::9" has an IPv6 address`, "IP=fe80::1:::64:box:eth0:off\n": "IPv6", "IP=::1\n": "IPv6",
		"IP=dhcp\r\n": `IP="dhcp\r" has a byte that no address has (the file has DOS line ends)`, "IP='192.0.2.9 '\n": `IP="192.0.2.9 " has a byte that no address has, and`} {
		for _, device := range []string{"", "eth1"} { // which would be looked for in vain
			tgt := tiny.New("bookworm", true)
			tgt.Archive[initramfsConf] = tiny.Text(conf)
			if err := refused(t, tgt, func(o *Options) { o.Device = device }); !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), initramfsConf) {
				t.Errorf("%q: %v", conf, err)
			}
		}
	}
	for conf, want := range map[string]string{"IP=off\n": "IP=off in conf/initramfs.conf: nothing gives", "IP=none": "IP=none in", "IP=dhcp\n": "", "IP=eth1\n": "", "IP=:::::eth1\n": ""} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive[initramfsConf] = tiny.Text(conf)
		_, r := patch(t, tgt, nil)
		if notes := strings.Join(r.Notes, "\n"); want != "" && !strings.Contains(notes, want) || want == "" && strings.Contains(notes, "IP=") {
			t.Errorf("%q: %q", conf, notes)
		}
	}
	for _, conf := range []string{"DEVICE='a b'\n", "DEVICE=eth0\\;reboot\n", "IP=:::::../x:dhcp\n", "DEVICE=lo\n", "IP=:::::lo:dhcp\n", "DEVICE=sit0\n", "DEVICE=all\n"} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive[initramfsConf] = tiny.Text(conf)
		if err := refused(t, tgt, nil); !strings.Contains(err.Error(), "--device") {
			t.Errorf("%q: %v", conf, err)
		}
	}
}

// Patched again the archive is what it was, and another --device is taken.
func TestDevicePatchedAgain(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	tgt.Archive["conf/conf.d/net"] = tiny.Text("DEVICE=bond0\n")
	for _, tgt := range []*tiny.Target{tgt, tiny.New("bookworm", true)} {
		img, _ := patch(t, tgt, nil)
		for _, device := range []string{"", "eth7", "", "eth7"} {
			o := defaults(tgt)
			o.Device = device
			before := settingsOf(t, img)
			r := judge.Value(apply(img, tgt.Root, o))(t)
			sh := []string{judge.Tool(t, "dash")}
			was, _ := deviceAsInit(sh, before)
			now, _ := deviceAsInit(sh, settingsOf(t, img))
			if device == "" && (now != was || r.Changed()) || device != "" && now != device {
				t.Errorf("--device %q: %s, now %s (changed: %v)", device, was, now, r.Changed())
			}
		}
	}
}

// bootsTo is the DEVICE, and the IP, with which the network is configured on a machine with two network cards: the shell of /init sources its settings,
// and what a script of init-top has written, and dropbear's own script its configuration and ours.
func bootsTo(t *testing.T, img *initrd.Image, param string) string {
	t.Helper()
	root := t.TempDir()
	for name, e := range img.Tree() {
		if e.IsFile() && (strings.HasPrefix(name, "conf/") || strings.HasPrefix(name, "etc/dropbear/") || strings.HasPrefix(name, "scripts/groundhog/")) {
			judge.Must(t, os.MkdirAll(filepath.Join(root, path.Dir(name)), 0o755))
			judge.WriteFile(t, filepath.Join(root, name), img.Content(e))
		}
	}
	for _, name := range []string{"enp2s0", "enp3s0"} {
		judge.Must(t, os.MkdirAll(filepath.Join(root, "sys/class/net", name, "device"), 0o755))
		judge.WriteFile(t, filepath.Join(root, "sys/class/net", name, "type"), []byte("1\n"))
	}
	judge.Must(t, os.MkdirAll(filepath.Join(root, "run/groundhog"), 0o755))
	cmd := exec.Command(judge.Tool(t, "dash"), "-c", `ip() { :; }; sleep() { :; }
export IP= DEVICE= BOOTIF= BOOT=local
for f in conf/arch.conf conf/initramfs.conf conf/conf.d/*; do [ ! -f "$f" ] || . "./$f"; done; `+param+`
for f in etc/dropbear/config etc/dropbear/dropbear.conf; do [ ! -f "$f" ] || . "./$f"; done
. "$groundhog_root/scripts/groundhog/network"; echo "DEVICE=$DEVICE IP=$IP"`)
	cmd.Dir, cmd.Env = root, []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "groundhog_root=" + root}
	out := judge.Output(t, cmd)
	return strings.TrimSpace(string(out))
}

// What names the interface after /init's settings, dropbear's configuration or a script, is heeded as those are.
func TestDeviceNamedLater(t *testing.T) {
	const script = "#!/bin/sh\n[ \"$1\" != prereqs ] || exit 0\n"
	for _, c := range []struct{ dropbear, top, param, device, want, told, note string }{
		{"DEVICE=enp3s0\n", "", "", "", "DEVICE=enp3s0 IP=", "enp3s0 as configured (DEVICE in etc/dropbear/dropbear.conf)", ""},
		{"export DEVICE='enp3s0'\n", "", "", "", "DEVICE=enp3s0 IP=", "enp3s0 as configured", ""},
		{"DEVICE=enp3s0\n", "", "", "enp2s0", "DEVICE=enp2s0 IP=", "enp2s0", "DEVICE was enp3s0, now enp2s0"},
		{"DEVICE=enp3s0\n", "", "", "any", "DEVICE= IP=", "any, the first that answers", "DEVICE was enp3s0, now any interface"},
		{"IP=:::::enp3s0:dhcp\n", "", "", "", "DEVICE= IP=:::::enp3s0:dhcp", "enp3s0 as configured (IP in etc/dropbear/dropbear.conf)", ""},
		{"#DEVICE=enp3s0\n", "", "", "", "DEVICE= IP=", "eth0", ""},
		{"eval DEVICE=enp3s0\n", "", "", "", "DEVICE=enp3s0 IP=", "what the settings name on the machine", "DEVICE is left to what the machine makes of it (etc/dropbear/dropbear.conf: "},
		{"", "echo DEVICE=enp3s0 >>/conf/param.conf\n", "DEVICE=enp3s0", "", "DEVICE=enp3s0 IP=", "what the settings name on the machine", "(scripts/init-top/which may give it a value while the machine boots); --device names it"},
		{"", "echo DEVICE=enp3s0 >>/conf/param.conf\n", "DEVICE=enp3s0", "enp2s0", "DEVICE=enp2s0 IP=", "enp2s0", ""},
		{"", "# DEVICE= is for conf/param.conf\n", "", "", "DEVICE= IP=", "eth0", ""},
	} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["etc/dropbear/dropbear.conf"] = tiny.Text(c.dropbear)
		if c.top != "" {
			tgt.Archive["scripts/init-top/which"] = tiny.Text(script + c.top)
			tgt.Archive["scripts/init-top/ORDER"] = tiny.Text("/scripts/init-top/which \"$@\"\n[ -e /conf/param.conf ] && . /conf/param.conf\n")
		}
		img, r := patch(t, tgt, func(o *Options) { o.Device, o.InterfaceTimeout = c.device, 0 })
		at := slices.IndexFunc(r.Patches, func(p Applied) bool { return p.Name == "interface" })
		if got := r.Patches[at].Summary; !strings.HasPrefix(got, c.told) {
			t.Errorf("%q, %q: told %q, want %q", c.dropbear, c.top, got, c.told)
		}
		if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, c.note) || c.note == "" && strings.Contains(notes, "DEVICE") {
			t.Errorf("%q, %q: noted %q, want %q", c.dropbear, c.top, notes, c.note)
		}
		if got := bootsTo(t, img, c.param); got != c.want {
			t.Errorf("%q, %q, --device %q: %s, want %s", c.dropbear, c.top, c.device, got, c.want)
		}
		o := defaults(tgt)
		o.InterfaceTimeout = 0
		if again := judge.Value(apply(img, tgt.Root, o))(t); again.Changed() || bootsTo(t, img, c.param) != c.want {
			t.Errorf("%q, %q, --device %q: again %+v, %s", c.dropbear, c.top, c.device, again.Patches[at], bootsTo(t, img, c.param))
		}

		if c.top != "" {
			continue
		}
		tree := hookTree("bookworm")
		tree["etc/dropbear/initramfs/dropbear.conf"] = tiny.Text(c.dropbear)
		o = Defaults()
		o.AuthorizedKeys, o.Device = hookUser("ed25519"), c.device
		hooks := mustHooks(t, tree, o)
		at = slices.IndexFunc(hooks.Patches, func(p Applied) bool { return p.Name == "interface" })
		if got := hooks.Patches[at].Summary; !strings.HasPrefix(got, c.told) {
			t.Errorf("hooks, %q: told %q, want %q", c.dropbear, got, c.told)
		}
	}
}

// An archive that an earlier version patched, which paid no heed to dropbear's configuration, is mended.
func TestDeviceOverwrittenBefore(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	img, _ := patch(t, tgt, func(o *Options) { o.InterfaceTimeout = 0 })
	conf := judge.Value(img.ReadFile("etc/dropbear/dropbear.conf"))(t)
	judge.Value(img.Put("etc/dropbear/dropbear.conf", initrd.File{Mode: initrd.TypeFile | 0o644, Data: append([]byte("DEVICE=enp3s0\n"), conf...)}))(t)
	judge.Value(apply(img, tgt.Root, defaults(tgt)))(t)
	if got := bootsTo(t, img, ""); got != "DEVICE=enp3s0 IP=" {
		t.Error(got)
	}
}

// hooks does the same to a root tree, in the file that sets DEVICE last, and a second
// run starts from what was there before the first.
func TestHooksDevice(t *testing.T) {
	const etc, share = "etc/initramfs-tools/conf.d/", toolsDir + "/conf.d/"
	for _, c := range []struct {
		files  map[string]string
		device string
		want   map[string]string
		ours   string
	}{
		{map[string]string{treeConf: "DEVICE=enp3s0\n"}, "", nil, ""},
		{map[string]string{treeConf: "DEVICE=\nexport DEVICE=bond0\n"}, "", nil, ""},
		{map[string]string{treeConf: "MODULES=most"}, "", map[string]string{treeConf: "MODULES=most\nDEVICE=eth0\n"}, anyDevice},
		{map[string]string{treeConf: "DEVICE=a\nDEVICE=b\n"}, "eth0", map[string]string{treeConf: "DEVICE=a\nDEVICE=eth0\n"}, "eth0"},
		{map[string]string{treeConf: "DEVICE=a\n", etc + "net": "export DEVICE=b\n"}, "eth0", map[string]string{etc + "net": "export DEVICE=eth0\n"}, "eth0"},
		{map[string]string{etc + "b": "DEVICE=b\n", share + "c": "DEVICE=c\n", share + "b": "DEVICE=d\n"}, "eth0", map[string]string{share + "c": "DEVICE=eth0\n"}, "eth0"},
		{map[string]string{etc + "z.dpkg-old": "DEVICE=b\n", etc + "_z": "DEVICE=b\n"}, "", map[string]string{treeConf: "MODULES=most\nDEVICE=eth0\nRUNSIZE=10%\n"}, anyDevice},
	} {
		tree := hookTree("bookworm")
		for name, text := range c.files {
			tree[name] = tiny.Text(text)
		}
		original := map[string]string{}
		for name, f := range tree {
			original[name] = string(f.Data)
		}
		for range 2 {
			o := Defaults()
			o.Device = c.device
			applyChanges(t, tree, mustHooks(t, tree, o).steps())
			for name := range original {
				want, changed := c.want[name]
				if !changed && strings.Contains(name, "conf") && strings.Contains(name, "initramfs-tools") {
					want = original[name]
				} else if !changed {
					continue
				}
				if got := string(tree[name].Data); got != want {
					t.Errorf("%q, --device %q: %s is %q, want %q", c.files, c.device, name, got, want)
				}
			}
			if got := string(tree[path.Join(toolsDir, confPath)].Data); !strings.Contains("\n"+got, "\nGROUNDHOG_DEVICE="+c.ours+"\n") {
				t.Errorf("%q: settings %q", c.files, got)
			}
		}
		applyChanges(t, tree, mustHooks(t, tree, Options{Board: "generic", Device: "eth5", Curl: true}).steps())
		revertChanges(t, tree)
		for name, want := range original {
			if got := string(tree[name].Data); got != want && strings.Contains(name, "initramfs-tools") {
				t.Errorf("%q: after a revert %s is %q, was %q", c.files, name, got, want)
			}
		}
	}
}

// An archive that is older than the settings in its root tree keeps what it says, and that is told.
func TestDeviceOfOlderArchive(t *testing.T) {
	for _, c := range []struct{ archive, tree, device, note string }{
		{"DEVICE=eth1\n", "DEVICE=eth2\n", "", "the root tree names the interface eth2 by DEVICE, and the archive eth1: that of the archive is taken"},
		{"", "IP=:::::eth2:dhcp\n", "", "the root tree names the interface eth2 by IP, and the archive none"},
		{"DEVICE=eth1\n", "DEVICE='a b'\n", "", `the root tree names the interface "a b" by DEVICE`},
		{"DEVICE=eth1\n", "DEVICE=eth1\n", "", ""},
		{"DEVICE=eth1\n", "", "", ""},
		{"DEVICE=eth1\n", "DEVICE=$(ls)\n", "", ""},
		{"DEVICE=eth1\n", "DEVICE=eth2\n", "eth3", "DEVICE was eth1, now eth3"},
	} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive[initramfsConf] = tiny.Text(c.archive)
		tgt.Root[treeConf] = tiny.Text(c.tree)
		_, r := patch(t, tgt, func(o *Options) { o.Device = c.device })
		if notes := strings.Join(r.Notes, "\n"); c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
			t.Errorf("%q, and %q in the root tree: noted %q, want %q", c.archive, c.tree, notes, c.note)
		}
	}
}

// An NFS root is one behind a carriage return, too, with which the machine's own boot does not find its script.
func TestBootWithLineEnd(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	tgt.Archive["conf/conf.d/nfs"] = tiny.Text("BOOT=nfs\r\n")
	img, r := patch(t, tgt, nil)
	if got := text(t, img, initramfsConf); strings.Contains(got, "DEVICE=eth0") {
		t.Errorf("an interface is named:\n%s", got)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, `BOOT="nfs\r" in conf/conf.d/nfs has a byte`) || !strings.Contains(notes, "DOS line ends") {
		t.Errorf("noted %q", notes)
	}
}

// What no interface can be that somebody comes by is not asked for.
func TestDeviceNoWayIn(t *testing.T) {
	for _, name := range []string{"lo", "dummy0", "sit0", "all", "default"} {
		if err := (Options{Board: "generic", Device: name}).Check(); err == nil || !strings.Contains(err.Error(), "nobody could log in") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"eth0", "lo1", "enp1s0", "any", "wlan0", "dummy", "usb0"} {
		if err := (Options{Board: "generic", Device: name}).Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
