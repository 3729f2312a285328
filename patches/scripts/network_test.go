package scripts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// sourceNetwork is what Debian's script does as far as configure_networking, in a run of hold.
const sourceNetwork = `. "$groundhog_root/scripts/functions"; mkdir -p "$groundhog_root/run/groundhog"; echo x >"$groundhog_root/run/groundhog/build"
. "$groundhog_root/scripts/groundhog/network"; configure_networking
up=yes; [ ! -e "$groundhog_root/run/groundhog/unreachable" ] || up=no; echo "DEVICE=$DEVICE $up"`

// Which interface is taken, and what is said when none is.
func TestInterface(t *testing.T) { interfaces(t, false) }

func interfaces(t *testing.T, all bool) {
	wifi := func(m *machine, name, mark string) {
		m.nic(name, "1")
		m.write("sys/class/net/"+name+"/"+mark+"/x", "")
	}
	tests := map[string]struct {
		make func(m *machine)
		env  []string
		want string // the last line
		says string
	}{
		"named":     {func(m *machine) { m.nic("eth0", "1"); m.nic("eth1", "1") }, nil, "DEVICE=eth0 yes", ""},
		"other one": {func(m *machine) { m.nic("enp1s0", "1") }, nil, "DEVICE=enp1s0 yes", "no interface eth0: taking enp1s0, the only wired one"},
		"two": {func(m *machine) { m.nic("enp1s0", "1"); m.nic("enp2s0", "1") }, nil, "DEVICE=old no",
			"no interface eth0 came; there are: enp1s0 enp2s0"},
		"none":   {func(m *machine) {}, nil, "DEVICE=old no", "there are: none"},
		"wifi":   {func(m *machine) { wifi(m, "wlan0", "wireless"); wifi(m, "wlan1", "phy80211") }, nil, "DEVICE=old no", "wlan0 wlan1"},
		"not ip": {func(m *machine) { m.nic("lo", "772"); m.nic("can0", "280") }, nil, "DEVICE=old no", "can0 lo"},
		"virtual": {func(m *machine) { m.nic("br0", "1"); m.remove("sys/class/net/br0/device"); m.nic("enp1s0", "1") }, nil,
			"DEVICE=enp1s0 yes", ""},
		"ip= names": {func(m *machine) { m.nic("eth1", "1") }, []string{"IP=10.0.2.9::10.0.2.2:255.0.0.0:box:eth1:off"}, "DEVICE=old yes", ""},
		"ip= names a missing one": {func(m *machine) { m.nic("eth1", "1") }, []string{"IP=:::::eth7:dhcp"}, "DEVICE=old no",
			"no interface eth7 came; there are: eth1"},
		"ip= is hostile": {func(m *machine) { m.nic("eth1", "1") }, []string{"IP=:::::../$(reboot):dhcp"}, "DEVICE=old yes", "cannot be an interface"},
		"BOOTIF":         {func(m *machine) {}, []string{"BOOTIF=01-02-00-00-00-00-01"}, "DEVICE=old yes", ""},
		"ip= over BOOTIF": {func(m *machine) {}, []string{"BOOTIF=01-02-00-00-00-00-01", "IP=:::::eth7:dhcp"}, "DEVICE=old no",
			"eth7"},
		"ip=dhcp": {func(m *machine) { m.nic("eth0", "1") }, []string{"IP=dhcp"}, "DEVICE=eth0 yes", ""},
		"no name, but one": {func(m *machine) { m.conf("GROUNDHOG_INTERFACE_TIMEOUT=0"); m.nic("eth3", "1") }, []string{"DEVICE="},
			"DEVICE= yes", ""},
		"no name, none": {func(m *machine) { m.conf("GROUNDHOG_INTERFACE_TIMEOUT=0") }, []string{"DEVICE="}, "DEVICE= no", "no interface with a wire came"},
		"no conf name":  {func(m *machine) { m.conf("GROUNDHOG_INTERFACE_TIMEOUT=0"); m.nic("old", "1") }, nil, "DEVICE=old yes", ""},
		"any, the one":  {func(m *machine) { m.any(); m.nic("old", "1") }, nil, "DEVICE=old yes", ""},
		"any, another":  {func(m *machine) { m.any(); m.nic("enp1s0", "1") }, nil, "DEVICE= yes", ""},
		"any, two":      {func(m *machine) { m.any(); m.nic("old", "1"); m.nic("eth1", "1") }, nil, "DEVICE= yes", ""},
		"any, wifi":     {func(m *machine) { m.any(); wifi(m, "wlan0", "wireless") }, nil, "DEVICE= yes", ""},
		"any, a loop":   {func(m *machine) { m.any(); m.nic("lo", "772"); m.write("sys/class/net/lo/flags", "0x1049\n") }, nil, "DEVICE= no", "there are: lo"},
		"any, odd flag": {func(m *machine) { m.any(); m.nic("can0", "280"); m.write("sys/class/net/can0/flags", "0x$(reboot)\n") }, nil, "DEVICE= no", "can0"},
		"any, and ip=":  {func(m *machine) { m.any(); m.nic("old", "1"); m.nic("eth1", "1") }, []string{"IP=:::::eth1:dhcp"}, "DEVICE=old yes", ""},
	}
	for n, name := range slices.Sorted(maps.Keys(tests)) {
		test := tests[name]
		t.Run(name, func(t *testing.T) {
			inTurn(t, n, all, func(t *testing.T, m *machine) {
				m.conf("GROUNDHOG_DEVICE=eth0", "GROUNDHOG_INTERFACE_TIMEOUT=0")
				test.make(m)
				got := m.run(sourceNetwork, append([]string{"DEVICE=old"}, test.env...)...)
				if !strings.HasSuffix(got, test.want+"\n") || !strings.Contains(got, test.says) {
					t.Errorf("want %q, %q; got:\n%s", test.want, test.says, got)
				}
				if !strings.Contains(m.log(), "ip link set dev lo up\n") {
					t.Errorf("lo is down:\n%s", m.log())
				}
			})
		})
	}
}

// An interface that comes while network waits is taken.
func TestInterfaceComesLate(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_DEVICE=eth0", "GROUNDHOG_INTERFACE_TIMEOUT=20")
		r := m.start(`sleep() { command sleep "$@"; echo slept; }; ` + sourceNetwork)
		r.sees("slept", 1)
		m.nic("eth0", "1")
		r.ends(0)
		if got := r.said(); !strings.HasSuffix(got, "DEVICE=eth0 yes\n") || strings.Contains(got, "groundhog:") {
			t.Errorf("got:\n%s", got)
		}
	})
}

// A name that udev takes away again is not settled on.
func TestInterfaceRenamed(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_DEVICE=eth0", "GROUNDHOG_INTERFACE_TIMEOUT=1")
		m.nic("eth0", "1")
		rename := "#!/bin/sh\ncd $groundhog_root/sys/class/net && [ ! -e eth0 ] || /bin/mv eth0 enp1s0\n"
		m.must(judge.WriteProgram(m.bin+"/udevadm", []byte(rename), 0o755))
		got := m.run(sourceNetwork)
		if !strings.HasSuffix(got, "DEVICE=enp1s0 yes\n") {
			t.Errorf("got:\n%s", got)
		}
	})
}

// ip=none: configure_networking sources a file that nobody writes; an empty one keeps dropbear.
func TestUnconfigured(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_DEVICE=eth0")
		m.nic("eth0", "1")
		for _, ip := range []string{"dhcp", "", "none", "off"} {
			m.remove("run/net-eth0.conf")
			m.run(sourceNetwork, "IP="+ip)
			if got, want := m.has("run/net-eth0.conf"), ip == "none" || ip == "off"; got != want {
				t.Errorf("ip=%s: net-eth0.conf: %v", ip, got)
			}
		}
		m.write("run/net-eth0.conf", "IPV4ADDR='10.0.0.1'\n")
		m.run(sourceNetwork, "IP=none")
		if m.read("run/net-eth0.conf") == "" {
			t.Error("a written file was emptied")
		}
	})
}

// With no interface named the file has a name all the same.
func TestUnconfiguredAny(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.any()
		m.nic("eth0", "1")
		m.nic("eth1", "1")
		if got := m.run(sourceNetwork, "IP=none", "DEVICE=eth0"); !m.has("run/net-any.conf") {
			t.Errorf("no file:\n%s", got)
		}
	})
}

// An NFS root's network is configured in the foreground: nothing of ours waits there, DEVICE is what was named or empty, and
// a second look changes nothing.
func TestNetworkOfNFSRoot(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		for conf, want := range map[string]string{"any": "own <>", "eth0": "own <eth0>", "": "own <old>"} {
			m.conf("GROUNDHOG_DEVICE="+conf, "GROUNDHOG_INTERFACE_TIMEOUT=600")
			got := m.run(`configure_networking() { echo "own <$DEVICE>"; }; . "$groundhog_root/scripts/groundhog/network"; configure_networking
: >"$groundhog_root/run/net-late.conf"; DEVICE=$DEVICE; . "$groundhog_root/scripts/groundhog/network"; configure_networking`, "BOOT=nfs", "DEVICE=old")
			if want += "\n"; got != want+want {
				t.Errorf("GROUNDHOG_DEVICE=%s: %q", conf, got)
			}
		}
	})
}

// What a script behind dropbear's makes is waited for beside it, and the time counts from when all of
// them have run.
func TestInterfaceOfALaterScript(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_INTERFACE_TIMEOUT=0")
		m.nic("eth0", "1")
		m.nic("eth1", "1")
		r := m.start(`sleep() { command sleep 0.1; echo slept; }; . "$groundhog_root/scripts/functions"
. "$groundhog_root/scripts/groundhog/network"; { configure_networking; echo "takes $DEVICE"; } & echo "goes on"; wait`, "DEVICE=bond0")
		r.sees("goes on", 1)
		r.sees("slept", 3)
		m.nic("bond0", "1")
		r.ends(0)
		if got := r.said(); !strings.HasSuffix(got, "takes bond0\n") || strings.Contains(got, "groundhog:") || m.has("run/groundhog/unreachable") {
			t.Errorf("got:\n%s", got)
		}
	})
}

// The clock is only ever set forward.
func TestClock(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_EPOCH=1700000000", "GROUNDHOG_INTERFACE_TIMEOUT=0")
		for clock, want := range map[string]bool{"0": true, "1699999999": true, "1700000000": false, "1700000001": false, "5000000000": false, "": false, "$(reboot)": false} {
			m.write("log", "")
			m.write("clock", clock)
			m.run(sourceNetwork)
			if got := strings.Contains(m.log(), "date -s @1700000000\n"); got != want {
				t.Errorf("at %q set: %v\n%s", clock, got, m.log())
			}
		}
	})
}
