//go:build e2e && full

package main

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
)

// vlanTag is the VLAN that the machine's address is in.
const vlanTag = 43

// trunk is a switch's port between QEMU's hub 0 and a card: what the card gets has the tag, and nothing comes from it
// that has not. It returns the arguments that make it, and the netdev that the card is wired to.
func trunk(t *testing.T) (args []string, port string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "trunk") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ends := map[string]*net.UnixConn{}
	for _, end := range []string{"hub", "card"} {
		ours, theirs := filepath.Join(dir, end), filepath.Join(dir, end+".qemu")
		c := judge.Value(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ours, Net: "unixgram"}))(t)
		t.Cleanup(func() { c.Close() })
		ends[end] = c
		args = append(args, "-netdev", "dgram,id="+end+",local.type=unix,local.path="+theirs+",remote.type=unix,remote.path="+ours)
	}
	pass := func(from, to string, change func([]byte) []byte) {
		there := &net.UnixAddr{Name: filepath.Join(dir, to+".qemu"), Net: "unixgram"}
		frame := make([]byte, 1<<16)
		for {
			n, err := ends[from].Read(frame)
			if err != nil {
				return
			}
			if out := change(frame[:n]); out != nil {
				ends[to].WriteTo(out, there) // a cable may lose frames
			}
		}
	}
	tag := binary.BigEndian.AppendUint16([]byte{0x81, 0x00}, vlanTag) // IEEE 802.1Q
	go pass("hub", "card", func(f []byte) []byte { return append(append(append([]byte{}, f[:12]...), tag...), f[12:]...) })
	go pass("card", "hub", func(f []byte) []byte {
		if len(f) < 16 || string(f[12:16]) != string(tag) {
			return nil
		}
		return append(append([]byte{}, f[:12]...), f[16:]...)
	})
	return append(args, "-netdev", "hubport,id=hub1,hubid=0,netdev=hub"), "card"
}

// A machine with Debian's kernel is reached over a VLAN and over a bond after patching as before it.
func TestReachedAsBeforeOverVLANAndBond(t *testing.T) {
	tgt := target(t, "bookworm", "amd64")
	const card = "virtio_pci\nvirtio_net\n"
	vlan := wired{device: "eth0.43", port: "22", config: with(
		made("init-premount", "vlan", "modprobe 8021q\nip link set eth0 up\nip link add link eth0 name eth0.43 type vlan id 43\nip link set eth0.43 up\n"),
		ownConf, "DEVICE=eth0.43\n", "initramfs-tools/modules", card+"8021q\n")}
	bond := wired{device: "bond0", port: "22", config: with(
		made("init-premount", "bond", "modprobe bonding max_bonds=0\ncd /sys/class/net\necho +bond0 >bonding_masters\ncd bond0/bonding\necho active-backup >mode\necho 100 >miimon\n"+
			"for card in eth0 eth1; do\n\tip link set $card down\n\techo +$card >slaves\ndone\n"),
		ownConf, "DEVICE=bond0\n", "initramfs-tools/modules", card+"bonding max_bonds=0\n")}
	t.Run("vlan", func(t *testing.T) {
		vlan.bootedAsBefore(t, tgt, func() fixtures.Machine {
			args, port := trunk(t)
			return fixtures.Machine{Ports: []string{port}, Extra: args}
		})
	})
	t.Run("bond", func(t *testing.T) {
		bond.bootedAsBefore(t, tgt, func() fixtures.Machine {
			return fixtures.Machine{Ports: []string{"a", "b"}, Extra: []string{"-netdev", "hubport,id=a,hubid=0", "-netdev", "hubport,id=b,hubid=0"}}
		})
	})
}

func (w wired) bootedAsBefore(t *testing.T, tgt *fixtures.Target, wiring func() fixtures.Machine) {
	before, after, login := w.patched(t, tgt)
	look := func(archive string) string {
		m := wiring()
		m.Arch, m.Kernel, m.Initrd = tgt.Arch, tgt.Vmlinuz, archive
		vm, err := fixtures.Boot(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		defer vm.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
		defer cancel()
		err = vm.WaitSSH(ctx, login)
		login.Port = vm.SSHPort
		var out []byte
		if err == nil {
			out, err = fixtures.SSH(ctx, login, nil, connected)
		}
		if err != nil {
			t.Fatalf("%s: %v\nconsole:\n%s", archive, err, vm.Console())
		}
		return string(out)
	}
	was, now := look(before), look(after)
	if !strings.Contains(was, w.device+" inet 10.0.2.15/24 ") || was != now {
		t.Errorf("before:\n%s\nafter:\n%s", was, now)
	}
}
