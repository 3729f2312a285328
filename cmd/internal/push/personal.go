package push

import (
	"net"
	"net/netip"

	"groundhog/cmd/internal/loader"
)

// Personal is what one device's initramfs needs beside the archive. It comes from the device's own answers and ends
// up in files that its /init and our scripts read as shell, so nothing in it can hold text: an IPv6 address could,
// as its zone.
type Personal struct {
	Address netip.Prefix // IPv4; the zero one asks DHCP
	Gateway netip.Addr   // IPv4; the zero one is none
	MAC     MAC          // the zero one is the interface's own
}

// MAC is an interface's address, EUI-48.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// isStation reports whether an interface can have the address: not that of a group, and not all zeros.
func (m MAC) isStation() bool { return m[0]&1 == 0 && m != MAC{} }

// IP is the address as the kernel's ip= has it (Documentation/admin-guide/nfs/nfsroot.rst); "" asks DHCP.
func (p Personal) IP() string {
	if !p.Address.IsValid() {
		return ""
	}
	mask := net.IP(net.CIDRMask(p.Address.Bits(), 32)).String()
	gateway := ""
	if p.Gateway.IsValid() {
		gateway = p.Gateway.String()
	}
	return p.Address.Addr().String() + "::" + gateway + ":" + mask + ":::off"
}

// PersonalOf works out what the device's own segment must say.
func PersonalOf(f loader.Facts) (p Personal) {
	if a := f.Get("mac_assigned"); a == "1" || a == "3" { // NET_ADDR_RANDOM, NET_ADDR_SET (sysfs-class-net)
		if mac, err := net.ParseMAC(f.Get("mac")); err == nil && len(mac) == len(p.MAC) && MAC(mac).isStation() {
			p.MAC = MAC(mac)
		}
	}
	prefix, err := netip.ParsePrefix(f.Get("prefix"))
	if f.Get("dynamic") != "" || err != nil || !prefix.Addr().Is4() {
		return p
	}
	p.Address = prefix
	if gateway, err := netip.ParseAddr(f.Get("gateway")); err == nil && gateway.Is4() {
		p.Gateway = gateway
	}
	return p
}
