package patches

import "groundhog/patches/scripts"

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
