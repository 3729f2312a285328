package scripts

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// calls gives the ip commands that touched eth0.
func (m *machine) calls() []string {
	var list []string
	for line := range strings.Lines(m.log()) {
		if call, ok := strings.CutPrefix(line, "ip link set dev eth0 "); ok {
			list = append(list, strings.TrimSpace(call))
		}
	}
	return list
}

func TestMAC(t *testing.T) { macs(t, false) }

func macs(t *testing.T, all bool) {
	set := []string{"down", "address b8:27:eb:01:02:03"}
	tests := map[string]struct {
		conf, cmdline string
		want          []string
		says          string
	}{
		"keep":            {"keep", "smsc95xx.macaddr=B8:27:EB:01:02:03", nil, ""},
		"nothing":         {"", "", nil, ""},
		"given":           {"b8:27:eb:01:02:03", "", set, "eth0 has MAC b8:27:eb:01:02:03"},
		"upper case":      {"B8:27:EB:01:02:03", "", set, ""},
		"equal":           {"02:00:00:00:00:01", "", nil, ""},
		"cmdline":         {"cmdline", "a=b smsc95xx.macaddr=B8:27:EB:01:02:03 quiet", set, ""},
		"last word":       {"cmdline", "smsc95xx.macaddr=02:00:00:00:00:07 smsc95xx.macaddr=B8:27:EB:01:02:03", set, ""},
		"our word":        {"cmdline", "groundhog.mac=b8:27:eb:01:02:03 smsc95xx.macaddr=02:00:00:00:00:07", set, ""},
		"no word":         {"cmdline", "quiet xsmsc95xx.macaddr=b8:27:eb:01:02:03", nil, "no smsc95xx.macaddr="},
		"group address":   {"cmdline", "smsc95xx.macaddr=01:00:5E:00:00:01", nil, "not a MAC"},
		"broadcast":       {"ff:ff:ff:ff:ff:ff", "", nil, "not a MAC"},
		"zeros":           {"00:00:00:00:00:00", "", nil, "not a MAC"},
		"command":         {"cmdline", "smsc95xx.macaddr=$(reboot)", nil, "not a MAC"},
		"backticks":       {"cmdline", "smsc95xx.macaddr=`reboot`", nil, "not a MAC"},
		"blank":           {"cmdline", "smsc95xx.macaddr=b8:27: eb:01:02:03", nil, "not a MAC"},
		"option":          {"cmdline", "smsc95xx.macaddr=-family", nil, "not a MAC"},
		"glob":            {"cmdline", "smsc95xx.macaddr=??:??:??:??:??:??", nil, "not a MAC"},
		"long":            {"cmdline", "smsc95xx.macaddr=" + strings.Repeat("b8:", 100), nil, "not a MAC"},
		"seven":           {"cmdline", "smsc95xx.macaddr=b8:27:eb:01:02:03:04", nil, "not a MAC"},
		"empty":           {"cmdline", "smsc95xx.macaddr=", nil, "not a MAC"},
		"conf is hostile": {"$(reboot)", "", nil, "not a MAC"},
	}
	for n, name := range slices.Sorted(maps.Keys(tests)) {
		test := tests[name]
		t.Run(name, func(t *testing.T) {
			inTurn(t, n, all, func(t *testing.T, m *machine) {
				m.conf("GROUNDHOG_DEVICE=eth0", "GROUNDHOG_MAC="+test.conf)
				m.write("proc/cmdline", test.cmdline+"\n")
				m.nic("eth0", "1")
				got := m.run(sourceNetwork)
				if calls := m.calls(); !slices.Equal(calls, test.want) {
					t.Errorf("called %q, want %q", calls, test.want)
				}
				if !strings.Contains(got, test.says) || !strings.HasSuffix(got, "DEVICE=eth0 yes\n") {
					t.Errorf("want %q; got:\n%s", test.says, got)
				}
			})
		})
	}
}

// What the MAC is set on, and what keeps it from being set.
func TestMACDevice(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		const mac = "GROUNDHOG_MAC=b8:27:eb:01:02:03"
		try := func(want []string, says string, env ...string) {
			t.Helper()
			m.write("log", "")
			got := m.run(sourceNetwork, env...)
			if calls := m.calls(); !slices.Equal(calls, want) || !strings.Contains(got, says) {
				t.Errorf("called %q, want %q; said:\n%s", calls, want, got)
			}
		}
		m.nic("eth0", "1")
		set := []string{"down", "address b8:27:eb:01:02:03"}
		m.conf(mac)
		try(set, "has MAC")
		try(set, "has MAC", "IP=:::::eth0:dhcp")
		try(nil, "BOOTIF finds the interface by its MAC", "BOOTIF=01-02-00-00-00-00-01")
		m.write("stubborn", "")
		try(set, "could not set the MAC of eth0: it stays 02:00:00:00:00:01")
		m.remove("stubborn")
		m.write("sys/class/net/eth0/flags", "0x1003\n")
		try(append(slices.Clone(set), "up"), "has MAC")
		m.write("run/net-eth0.conf", "")
		try(nil, "eth0 is configured already")
		m.remove("run/net-eth0.conf")
		m.nic("eth1", "1")
		try(nil, "no interface named and 2 here")
	})
}
