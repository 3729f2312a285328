//go:build e2e

package main

import (
	"cmp"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/waiting"
)

// A wired is a machine whose owner reaches its dropbear in a way of his own.
type wired struct {
	name   string
	cards  string
	config map[string]string // of its initramfs-tools and dropbear, by where it lies in etc
	far    string            // what there is at the other ends of the cards, as in [waiting.Network]
	device string            // the interface that has the address
	port   string
}

// owned is the network that a machine's address is in, at one of its far ends, with the DHCP server there that gives it.
func owned(far string) string {
	return `ip link set ` + far + ` up
ip addr add 10.0.2.2/24 dev ` + far + `
d=$(mktemp -d)
printf '%s\n' 'interface ` + far + `' 'start 10.0.2.15' 'end 10.0.2.15' "lease_file $d/leases" "pidfile $d/pid" \
	'option subnet 255.255.255.0' 'option router 10.0.2.2' >"$d/conf"
: >"$d/leases"
busybox udhcpd -a 50 -f "$d/conf" >/dev/null 2>&1 &
`
}

// made is a script that makes an interface, as owners put it into a stage of the boot.
func made(stage, name, commands string) map[string]string {
	return map[string]string{"initramfs-tools/scripts/" + stage + "/" + name: "#!/bin/sh\n" +
		"case $1 in prereqs) exit 0 ;; esac\n" + commands}
}

func with(files map[string]string, more ...string) map[string]string {
	files = maps.Clone(files)
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return files
}

const (
	dropbearConf = "dropbear/initramfs/dropbear.conf"
	ownConf      = "initramfs-tools/conf.d/net"
	onPort2222   = "DROPBEAR_OPTIONS=\"-I 180 -j -k -p 2222 -s\"\n"

	// Kinds of interfaces that any kernel makes in a namespace, in the place of what makeVLAN and makeBond make: with them, too,
	// what is on a card, or over two of them, is there when the script has run, and not before.
	makeMacvlan = "ip link set eth0 up\nip link add link eth0 name eth0.43 type macvlan\nip link set eth0.43 up\n"
	makeBridge  = "ip link add bond0 type bridge\nfor card in eth0 eth1; do\n\tip link set $card master bond0\n\tip link set $card up\ndone\nip link set bond0 up\n"
)

// What an owner has made reachable is so after patching, over the same interface and at the same address and port. The
// machines have no kernel of their own, so a macvlan stands for a VLAN, and a bridge for a bond; TestReachedAsBeforeOverVLANAndBond has those.
func TestReachedAsBeforeOverTwoCardsMacvlanAndBridge(t *testing.T) {
	t.Parallel()
	tgt := target(t, "bookworm", "amd64")
	vlan := func(stage string) wired {
		return wired{name: "a macvlan of " + stage, cards: "eth0 eth1", device: "eth0.43", port: "2222", far: owned("far0"),
			config: with(made(stage, "vlan", makeMacvlan), ownConf, "DEVICE=eth0.43\n", dropbearConf, onPort2222)}
	}
	bond := func(stage string) wired {
		return wired{name: "a bridge of " + stage, cards: "eth0 eth1", device: "bond0", port: "22", far: owned("far1") + "ip link set far0 up\n",
			config: with(made(stage, "bond", makeBridge), ownConf, "DEVICE=bond0\n")}
	}
	cards := wired{name: "the second of two cards", cards: "eth0 eth1", device: "eth1", port: "2222", far: owned("far1") + "ip link set far0 up\n",
		config: map[string]string{ownConf: "export DEVICE='eth1'\n", dropbearConf: onPort2222}}
	for _, w := range judge.Cases([]wired{cards, vlan("local-top"), bond("init-premount")},
		vlan("init-premount"), vlan("local-premount"), bond("local-top"), bond("local-premount")) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			w.reachedAsBefore(t, tgt)
		})
	}
}

// Where nobody named an interface and the root file system comes over the network, dropbear lets in and the boot goes on
// after the wait as they did before, whatever the card is called: configure_networking waits for minutes for DEVICE=eth0,
// and ends the shell, /init's too, where that is not the interface that was configured.
func TestNFSRootIsReachedAsBefore(t *testing.T) {
	t.Parallel()
	waiting.Need(t)
	tgt := target(t, "bookworm", "amd64")
	const reached = "owner: the root comes over the network"
	script := made("nfs-premount", "owner", "echo '"+reached+"' >/dev/console\n")
	for _, boot := range judge.Cases([]string{"boot=nfs"}, "") {
		w := wired{config: script}
		if boot == "" {
			w.config = with(script, ownConf, "BOOT=nfs\n")
		}
		t.Run(cmp.Or(boot, "BOOT=nfs"), func(t *testing.T) {
			t.Parallel()
			w.cards, w.far, w.port = "enp1s0", owned("far0"), "22"
			before, after, login := w.patched(t, tgt)
			for _, archive := range []string{before, after} {
				d := w.start(t, archive, "ip=dhcp "+boot)
				if archive == after {
					w.says(t, d, login, "groundhog-continue")
				}
				judge.Until(t, reached, func() bool { return d.Ended() != "" || strings.Contains(d.Console(), reached) })
				if how := d.Ended(); how != "" {
					t.Errorf("%s: /init has ended: %s", archive, how)
				}
				d.Close()
			}
		})
	}
}

// -c has everybody's login run the owner's command, so it is refused; what the refusal says leaves the command to the owner's
// key, on the port that he uses, and gives another key a shell there. uname stands for cryptroot-unlock.
func TestForcedCommandStaysTheOwners(t *testing.T) {
	t.Parallel()
	waiting.Need(t)
	tgt := target(t, "bookworm", "amd64")
	dir := t.TempDir()
	after, key := filepath.Join(dir, "reflash.img"), filepath.Join(dir, "id")
	command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	owner, public := newOwner(t)
	w := wired{cards: "eth0", far: owned("far0"), port: "2222", config: map[string]string{
		"dropbear/initramfs/authorized_keys": public, dropbearConf: "DROPBEAR_OPTIONS=\"-p 2222 -s -j -k -c uname\"\n"}}
	before := ownersArchive(t, tgt, w.config)
	code, out := online(t, "patch", before, "--root", tgt.Root, "-o", after)
	m := regexp.MustCompile(`--dropbear-option '([^']*)' .*, and (command="uname") in front of a key in --authorized-keys`).FindStringSubmatch(out)
	if code != 1 || m == nil {
		t.Fatalf("exit %d: %s", code, out)
	}
	keys := filepath.Join(dir, "owners.pub")
	judge.WriteFile(t, keys, m[2]+" "+public)
	code, out = online(t, "patch", before, "--root", tgt.Root, "-o", after, "--dropbear-option", m[1], "--authorized-keys", keys, "--authorized-keys", key+".pub")
	if code != 0 {
		t.Fatal(out)
	}
	login := fixtures.Login{Key: key, KnownHosts: w.knownHosts(t, after), HostAlias: "device"}
	d := w.start(t, after, "ip=dhcp")
	if got := w.says(t, d, login, "echo mine"); got != "mine\n" {
		t.Errorf("the other key has %q run", got)
	}
	login.Key = owner
	if got := w.says(t, d, login, "echo mine"); got != "Linux\n" {
		t.Errorf("the owner's key has %q run", got)
	}
}

// newOwner is the owner's key.
func newOwner(t *testing.T) (key, public string) {
	t.Helper()
	key = filepath.Join(t.TempDir(), "owner")
	command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "owner", "-f", key)
	b := judge.ReadFile(t, key+".pub")
	return key, string(b)
}

func (w wired) reachedAsBefore(t *testing.T, tgt *fixtures.Target) {
	waiting.Need(t)
	before, after, login := w.patched(t, tgt)
	was, now := w.lookAround(t, before, login), w.lookAround(t, after, login)
	if !strings.Contains(was, w.device+" inet 10.0.2.15/24 ") || was != now {
		t.Errorf("before:\n%s\nafter:\n%s", was, now)
	}
}

// patched is the owner's archive, that archive patched, and how he logs in to both.
func (w wired) patched(t *testing.T, tgt *fixtures.Target) (before, after string, login fixtures.Login) {
	t.Helper()
	key, public := newOwner(t)
	before = ownersArchive(t, tgt, with(w.config, "dropbear/initramfs/authorized_keys", public))
	after = filepath.Join(t.TempDir(), "reflash.img")
	if code, out := online(t, "patch", before, "--root", tgt.Root, "-o", after); code != 0 {
		t.Fatal(out)
	}
	return before, after, fixtures.Login{Key: key, KnownHosts: w.knownHosts(t, after), HostAlias: "device"}
}

// knownHosts is an archive's own, which is for the machine's port, for who comes there by another that leads to it.
func (w wired) knownHosts(t *testing.T, archive string) string {
	t.Helper()
	b := judge.ReadFile(t, archive+".known_hosts")
	names := strings.Fields(string(b))[0]
	if w.port != "22" && !slices.Contains(strings.Split(names, ","), "[*]:"+w.port) {
		t.Errorf("known_hosts is for %s, not for port %s", names, w.port)
	}
	file := filepath.Join(t.TempDir(), "known_hosts")
	judge.WriteFile(t, file, strings.ReplaceAll(string(b), names+" ", "device "))
	return file
}

// connected is how a machine tells what it is connected by.
const connected = `ip -4 -o addr show | sed -n 's/^[0-9]*: \([^ ]*\) *\(inet [0-9.\/]* .*\) scope global.*/\1 \2/p'; ip -4 route`

// lookAround boots an archive, logs in over the device's network, and says how the device is connected.
func (w wired) lookAround(t *testing.T, archive string, login fixtures.Login) string {
	t.Helper()
	d := w.start(t, archive, "ip=dhcp")
	defer d.Close()
	return w.says(t, d, login, connected)
}

// says logs in over the device's network, and says what a command there prints.
func (w wired) says(t *testing.T, d *waiting.Device, login fixtures.Login, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	judge.Must(t, d.WaitLogin(ctx, login))
	login.Port = d.Port()
	out := judge.Value(fixtures.SSH(ctx, login, nil, command))(t)
	return string(out)
}

func (w wired) start(t *testing.T, archive, cmdline string) *waiting.Device {
	t.Helper()
	return waiting.Start(t, archive, waiting.Options{Cmdline: cmdline, Network: &waiting.Network{
		Cards: strings.Fields(w.cards), Far: w.far, Address: "10.0.2.15:" + w.port}})
}

// ownersArchive is what the owner's own mkinitramfs makes with these files in the target's etc. Its boot stops where one
// waits for a disk's passphrase, so that dropbear is what lets in.
func ownersArchive(t *testing.T, tgt *fixtures.Target, etc map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	etc = with(etc, "initramfs-tools/conf.d/small", "MODULES=list\n", "initramfs-tools/scripts/local-premount/zz-passphrase", "#!/bin/sh\ncase $1 in prereqs) echo vlan bond; exit 0 ;; esac\nwhile [ ! -e /run/go-on ]; do sleep 1; done\n")
	for name, text := range etc {
		at := filepath.Join(dir, "upper/etc", name)
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		judge.Must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		judge.Must(t, judge.WriteProgram(at, []byte(text), mode))
	}
	const script = `mkdir work root && mount -t overlay -o "lowerdir=$1,upperdir=upper,workdir=work" overlay root &&
		mount -t proc proc root/proc && mount --rbind /dev root/dev && exec chroot root \
		/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C mkinitramfs -o /owners.img "$2"`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", tgt.Root, tgt.Kernel)
	cmd.Dir = dir
	judge.Run(t, cmd)
	return filepath.Join(dir, "upper/owners.img")
}
