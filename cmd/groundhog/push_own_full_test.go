//go:build full

package main

import (
	"strings"
	"testing"

	"groundhog/cmd/internal/device"
	virtual "groundhog/fixtures/device"
	"groundhog/fixtures/judge"
)

// A device whose address is static and whose MAC was set has both in its initramfs, from a segment of its own.
func TestPushOwn(t *testing.T) {
	t.Parallel()
	b, ctx := startBench(t, virtual.Spec{Suite: "bookworm", Arch: "amd64"}, virtual.Options{Saved: true})
	const mac = "52:54:00:65:43:21"
	b.SSH(ctx, "root", nil, `(sleep 1; systemctl stop systemd-networkd.socket systemd-networkd networking; ip link set eth0 down; ip link set eth0 address `+mac+`; ip link set eth0 up
ip addr flush dev eth0; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2) >/dev/null 2>&1 </dev/null &`)
	judge.Until(t, "the interface has both", func() bool { // a connection made meanwhile may end
		said, err := b.SSH(ctx, "root", nil, "cat /sys/class/net/eth0/address; ip -o -4 addr show dev eth0 | grep -c dynamic; true")
		return err == nil && string(said) == mac+"\n0\n"
	})
	code, out := b.verb("push", "--reboot", b.target(), b.archive)
	if code != 0 || !strings.Contains(out, "the initramfs gets ip=10.0.2.15::10.0.2.2:255.255.255.0:::off") {
		t.Fatalf("push: %d", code)
	}
	a := judge.Value(readPushed(b.archive, int64(defaultMaxSize)))(t)
	c := judge.Value(device.Dial(ctx, b.target(), device.Options{Config: "none", Identities: []string{b.Base.Key}, Keys: a.Keys}))(t)
	defer c.Close()
	said, err := c.Output(ctx, "cat /sys/class/net/eth0/address /run/net-eth0.conf")
	if err != nil || !strings.HasPrefix(said, mac+"\n") || !strings.Contains(said, "IPV4ADDR='10.0.2.15'") ||
		!strings.Contains(said, "IPV4GATEWAY='10.0.2.2'") || strings.Contains(said, "PROTO='dhcp'") {
		t.Errorf("in the initramfs (%v):\n%s", err, said)
	}
	t.Log(said)
}
