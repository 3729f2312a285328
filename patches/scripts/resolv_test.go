package scripts

import (
	"strings"
	"testing"
)

// What ipconfig left becomes resolv.conf; what a DHCP server made up does not.
func TestResolv(t *testing.T) {
	const dns = "IPV4DNS0='10.0.2.3'\n"
	tests := map[string]struct{ net, old, want string }{
		"one":           {dns + "IPV4DNS1='0.0.0.0'\nDNSDOMAIN='lab.example'\n", "", "search lab.example\nnameserver 10.0.2.3\n"},
		"two":           {dns + "IPV4DNS1='10.0.2.4'\nDNSDOMAIN=''\n", "", "nameserver 10.0.2.3\nnameserver 10.0.2.4\n"},
		"twice":         {dns + "IPV4DNS1='10.0.2.3'\n", "", "nameserver 10.0.2.3\n"},
		"none":          {"IPV4DNS0='0.0.0.0'\nDNSDOMAIN='lab.example'\n", "", ""},
		"there already": {dns, "nameserver 9.9.9.9\n", "nameserver 9.9.9.9\n"},
		"no server yet": {dns, "options edns0\n", "options edns0\nnameserver 10.0.2.3\n"},
		"no newline":    {"IPV4DNS0='10.0.2.3'", "", "nameserver 10.0.2.3\n"},
		"command":       {"IPV4DNS0='$(reboot)'\nIPV4DNS1='10.0.2.3'\nDNSDOMAIN='$(reboot)'\n", "", "nameserver 10.0.2.3\n"},
		"backticks":     {dns + "DNSDOMAIN='`reboot`'\n", "", "nameserver 10.0.2.3\n"},
		"end quote":     {dns + "DNSDOMAIN='a';reboot;'b'\n", "", "nameserver 10.0.2.3\n"},
		"line break":    {dns + "DNSDOMAIN='a\nreboot\nnameserver 6.6.6.6\n'\n", "", "nameserver 10.0.2.3\n"},
		"two domains":   {dns + "DNSDOMAIN='a b'\n", "", "nameserver 10.0.2.3\n"},
		"dash":          {dns + "DNSDOMAIN='-rf'\n", "", "nameserver 10.0.2.3\n"},
		"long":          {dns + "DNSDOMAIN='" + strings.Repeat("a", 254) + "'\n", "", "nameserver 10.0.2.3\n"},
		"longest":       {dns + "DNSDOMAIN='" + strings.Repeat("a", 253) + "'\n", "", "search " + strings.Repeat("a", 253) + "\nnameserver 10.0.2.3\n"},
		"256":           {"IPV4DNS0='10.0.2.256'\n", "", ""},
		"three parts":   {"IPV4DNS0='10.0.2'\n", "", ""},
		"five parts":    {"IPV4DNS0='1.1.1.1.1'\n", "", ""},
		"dots":          {"IPV4DNS0='1..1.1'\nIPV4DNS1='1.1.1.'\n", "", ""},
		"huge":          {"IPV4DNS0='99999999999999999999.1.1.1'\n", "", ""},
		"binary":        {"\x01\xff\nIPV4DNS0='10.0.2.3\x1b'\n" + dns, "", "nameserver 10.0.2.3\n"},
	}
	each(t, func(t *testing.T, m *machine) {
		for name, test := range tests {
			m.remove("etc/resolv.conf")
			if test.old != "" {
				m.write("etc/resolv.conf", test.old)
			}
			m.write("run/net-eth0.conf", test.net)
			m.run(`. "$groundhog_root/scripts/groundhog/functions"; . "$groundhog_root/scripts/groundhog/reach"; groundhog_resolv; groundhog_resolv`)
			if got := m.read("etc/resolv.conf"); got != test.want {
				t.Errorf("%s: got %q, want %q", name, got, test.want)
			}
		}
	})
}

// The wait writes it as soon as the file comes, and names the address where ip names none.
func TestResolvComesLate(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick("GROUNDHOG_WAIT=900")
		m.dropbear()
		r := m.start(sourceHold)
		r.sees("waiting, ", 1)
		m.write("run/net-eth0.conf", "IPV4ADDR='10.0.2.15'\nIPV4DNS0='10.0.2.3'\n")
		m.eventually("resolv.conf", r, func() bool { return m.read("etc/resolv.conf") == "nameserver 10.0.2.3\n" })
		r.sees("s left: ssh root@10.0.2.15", 1)
	})
}
