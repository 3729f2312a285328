package patches

import (
	"fmt"
	"net"

	"groundhog/patches/scripts"
)

// checkMAC takes "keep", "cmdline" and the address of one station; nothing is "keep".
func (o *Options) checkMAC() error {
	switch o.MAC {
	case "":
		o.MAC = "keep"
		return nil
	case "keep", "cmdline":
		return nil
	}
	mac, err := net.ParseMAC(o.MAC)
	switch {
	case err != nil || len(mac) != 6:
		return fmt.Errorf("mac %q: must be keep, cmdline or six octets like 02:00:5e:10:00:01", o.MAC)
	case mac[0]&1 != 0:
		return fmt.Errorf("mac %q: a group address, no station can have it", o.MAC)
	case mac.String() == "00:00:00:00:00:00":
		return fmt.Errorf("mac %q: the null address, no station can have it", o.MAC)
	}
	o.MAC = mac.String()
	return nil
}

// macAddress tells the network script which address to give the interface.
func (t *Archive) macAddress() (string, error) {
	return macSummary(t.opts.MAC), t.setSetting("GROUNDHOG_MAC", t.opts.MAC)
}

func (t *Tree) macAddress() (string, error) {
	t.added = append(t.added, scripts.Conf)
	return macSummary(t.opts.MAC), t.setSetting("GROUNDHOG_MAC", t.opts.MAC)
}

// macSummary says where an interface's address comes from, for people.
func macSummary(mac string) string {
	switch mac {
	case "keep":
		return "left as the interface has it"
	case "cmdline":
		return "from smsc95xx.macaddr= on the kernel command line"
	}
	return mac
}
