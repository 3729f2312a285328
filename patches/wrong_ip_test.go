package patches

import "testing"

// ipForms is what people write behind IP=, and whether an initramfs-tools system is reached by it.
var ipForms = map[string]bool{
	"": true, "on": true, "any": true, "dhcp": true, "bootp": true, "both": true, "rarp": true, "off": true, "none": true, "eth1": true, "enp3s0": true, "eth1.43": true,
	":::::eth1:dhcp": true, "::::box:eth1:any": true, ":::::eth1": true, ":::::eth1:none": true, ":::::eth1:": true, "::::::dhcp": true, "::::": true, "::::::": true,
	"192.0.2.9::192.0.2.1:255.255.255.0:box:eth1:off": true, "192.0.2.9:::255.255.255.0::eth1:static": true, "192.0.2.9:": true,
	"192.0.2.9:192.0.2.2:192.0.2.1:255.255.255.0:box:eth1:none:9.9.9.9:1.1.1.1:pool.example": true, "192.0.2.9::192.0.2.1:255.255.255.0:box::dhcp": true, "010.0.2.9::::box:eth1:off": true,
	"192.0.2.9": false, "dhcp6": false, "auto6": false, "link6": false, "ibft": false, "static": false, "DHCP": false, "2001:db8::9": false, "::1": false,
	"[2001:db8::1]::[fe80::1]:64:box:eth0:off": false, "fe80::1:::64:box:eth0:off": false,
	"eth0:dhcp": false, "eth1:off": false, ":dhcp": false, ":::::eth1:dhcp6": false, ":::::eth1:DHCP": false, ":::::eth1:auto": false, ":::::eth1:all": false, ":::::eth1:dhcp ": false,
	"192.0.2.9::192.0.2.1:24:box:eth1:off": false, "192.0.2.9::192.0.2.1:/24:box:eth1:off": false, ipWithLength: false, "192.0.2::::box:eth1:off": false,
	"192.0.2.256::::box:eth1:off": false, "host.example::::box:eth1:off": false, "192.0.2.9:server:::box:eth1:off": false, "192.0.2.9::gw:255.255.255.0:box:eth1:off": false,
	"192.0.2.9:::255.255.255.0:box:eth1:off:dns": false, "192.0.2.9:::255.255.255.0:box:eth1:off::2001": false,
}

const ipWithLength = "192.0.2.9/24::192.0.2.1::box:eth1:off"

func TestWrongIP(t *testing.T) {
	for value, right := range ipForms {
		if got := wrongIP(value, "trixie"); (got == "") != right {
			t.Errorf("IP=%q: %q", value, got)
		}
		if got := wrongIP(value, "bookworm"); (got == "") != (right || value == ipWithLength) {
			t.Errorf("bookworm, IP=%q: %q", value, got)
		}
	}
}
