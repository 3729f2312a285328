package patches

import (
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/tiny"
	"groundhog/patches/scripts"
)

// stageScripts is scripts as people write them, and what becomes of each: run early,
// held and told of, or nothing ("").
var stageScripts = []struct{ at, text, want string }{
	{"local-top/wireguard", "ip link add wg0 type wireguard\nwg setconf wg0 /etc/wg0.conf\nip -4 address add 10.0.0.2/24 dev wg0\nip link set wg0 up\n", "early"},
	{"local-top/vlan", "modprobe -q 8021q\n/sbin/ip link add link eth0 name eth0.43 type vlan id 43\n", "early"},
	{"local-premount/wifi", "wpa_supplicant -B -i wlan0 -c /etc/wpa.conf\nfor i in 1 2; do sleep 1; done\n", "early"},
	{"local-top/bond", "echo +bond0 >/sys/class/net/bonding_masters\n", "early"},
	{"nfs-top/vlan", ". /scripts/functions\nvconfig add eth0 43\n", "early"},
	{"local-top/plain", ". /scripts/functions\nconfigure_networking\n", "early"},
	{"local-top/sourcing", ". /scripts/functions\n. /scripts/ours\nbring_up\n", "early"},
	{"local-top/manager", "NetworkManager --configure-and-quit=initrd\n", "early"},
	{"local-top/gadget", "modprobe -q g_ether\n", "early"},
	{"local-top/iscsi", "configure_networking\niscsistart -b\n", "held"},
	{"local-top/clevis", "configure_networking\nclevis-luks-unlock -d /dev/sda2\n", "held"},
	{"local-block/nbd", "configure_networking\nnbd-client 192.0.2.1 /dev/nbd0\n", "held"},
	{"init-bottom/vpn", "ip route add default via 10.0.0.1\n", "held"},
	{"local-top/cryptroot", "cryptsetup open /dev/sda2 root\n", ""},
	{"local-top/mdadm", "mdadm --assemble --scan # ip link\n", ""},
	{"local-premount/resume", "# ip link set eth0 up\nresume /dev/sda3\n", ""},
	{"local-top/zip", "unzip link; skip route; wg0=1; echo /usr/lib/iw-firmware\n", ""},
	{"init-bottom/udev", "udevadm control --exit\n", ""},
}

// oursSourced is what one of them sources.
const oursSourced = "bring_up() {\n\tip link set eth0 up\n}\n"

func wantStages() (early []string, held []string) {
	for _, s := range stageScripts {
		switch s.want {
		case "early":
			early = append(early, "scripts/"+s.at)
		case "held":
			held = append(held, "scripts/"+s.at)
		}
	}
	return early, held
}

// checkEarly holds a list and notes against what is wanted.
func checkEarly(t *testing.T, list string, notes []string) {
	t.Helper()
	early, held := wantStages()
	var got []string
	for line := range strings.Lines(list) {
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(line, "/"), "\n"))
	}
	slices.Sort(early)
	slices.Sort(got)
	if !slices.Equal(got, early) {
		t.Errorf("early are %q, want %q", got, early)
	}
	for _, c := range []struct {
		names []string
		says  string
	}{{early, "run before the wait"}, {held, "holds it back"}} {
		i := slices.IndexFunc(notes, func(n string) bool { return strings.Contains(n, c.says) })
		if i < 0 {
			t.Errorf("not told: %s", c.says)
			continue
		}
		for _, s := range stageScripts {
			if at := "scripts/" + s.at; strings.Contains(notes[i], at) != slices.Contains(c.names, at) {
				t.Errorf("%s: %q", at, notes[i])
			}
		}
	}
}

// The wait comes behind all scripts of its stage; those that bring the network up
// later are run before it, and what else has to do with the network is told of.
func TestEarlyInArchive(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	order := map[string]string{"init-premount": string(tgt.Archive["scripts/init-premount/ORDER"].Data) + "/scripts/init-premount/wireless \"$@\"\n" + paramLine}
	tgt.Archive["scripts/init-premount/wireless"] = tiny.Program([]byte("#!/bin/sh\nwpa_supplicant\n"))
	for _, s := range stageScripts {
		tgt.Archive["scripts/"+s.at] = tiny.Program([]byte("#!/bin/sh\n" + s.text))
		order[path.Dir(s.at)] += "/scripts/" + s.at + " \"$@\"\n" + paramLine
	}
	tgt.Archive["scripts/ours"] = tiny.Text(oursSourced)
	for stage, text := range order {
		tgt.Archive["scripts/"+stage+"/ORDER"] = tiny.Text(text)
	}
	img, r := patch(t, tgt, nil)
	checkEarly(t, text(t, img, scripts.Early), r.Notes)
	if got := text(t, img, "scripts/init-premount/ORDER"); got != order["init-premount"]+"/"+scripts.Gate+" \"$@\"\n"+paramLine {
		t.Errorf("ORDER:\n%s", got)
	}
	for stage, want := range order {
		if got := text(t, img, "scripts/"+stage+"/ORDER"); stage != "init-premount" && got != want {
			t.Errorf("%s/ORDER was changed:\n%s", stage, got)
		}
	}
	if again, err := apply(img, tgt.Root, defaults(tgt)); err != nil || again.Changed() {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, r := patch(t, tgt, func(o *Options) { o.Wait = 0 }); strings.Contains(strings.Join(r.Notes, "\n"), "wait") {
		t.Errorf("no wait, and told: %q", r.Notes)
	}
}

// An archive of 0.3, whose dropbear script waited at its end, waits once.
func TestWaitMoves(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	script := *tgt.Archive[premountScript]
	script.Data = append(slices.Clip(script.Data), scripts.OldHoldLine+"\n"...)
	tgt.Archive[premountScript] = &script
	img, _ := patch(t, tgt, nil)
	if got := text(t, img, premountScript); strings.Contains(got, scripts.OldHoldLine) || ScriptState([]byte(got)) != Patched {
		t.Errorf("%s", got)
	}
}

func TestOrderLast(t *testing.T) {
	const a, b = "/scripts/init-premount/a \"$@\"\n" + paramLine, "/scripts/init-premount/b \"$@\"\n" + paramLine
	for order, want := range map[string]string{"": b, a: a + b, a + b: a + b, b + a: a + b, "x": "x\n" + b, a[:len(a)-1]: a + b} {
		if got := string(orderLast([]byte(order), "/scripts/init-premount/b")); got != want {
			t.Errorf("%q: %q, want %q", order, got, want)
		}
	}
}

// hooks finds the same in a root tree, where etc comes in the place of usr/share.
func TestEarlyInTree(t *testing.T) {
	tree := hookTree("bookworm")
	for i, s := range stageScripts {
		tree[scriptDirs[i%2]+"/"+s.at] = tiny.Program([]byte("#!/bin/sh\n" + s.text))
	}
	const etc, share = "etc/initramfs-tools/scripts/", toolsDir + "/scripts/"
	tree[etc+"ours"] = tiny.Text(oursSourced)
	tree[etc+"local-top/masked"] = tiny.Program([]byte("#!/bin/sh\n"))
	tree[share+"local-top/masked"] = tiny.Program([]byte("#!/bin/sh\nifup -a\n"))
	tree[etc+"local-top/off"] = &fstest.MapFile{Data: []byte("#!/bin/sh\nifup -a\n"), Mode: 0o644}
	r := mustHooks(t, tree, Defaults())
	applyChanges(t, tree, r.steps())
	list := tree[path.Join(toolsDir, scripts.Early)]
	if list == nil || list.Mode != 0o644 {
		t.Fatalf("%v", list)
	}
	checkEarly(t, string(list.Data), r.Notes)
}
