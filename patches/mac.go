package patches

import "groundhog/patches/scripts"

// macAddress tells the network script which address to give the interface.
func (t *Archive) macAddress() (string, error) {
	if err := t.set("GROUNDHOG_MAC", t.opts.MAC); err != nil {
		return "", err
	}
	switch t.opts.MAC {
	case "keep":
		return "left as the interface has it", nil
	case "cmdline":
		return "from smsc95xx.macaddr= on the kernel command line", nil
	}
	return t.opts.MAC, nil
}

func (t *Tree) macAddress() (string, error) {
	t.added = append(t.added, scripts.Conf)
	if err := t.setting("GROUNDHOG_MAC", t.opts.MAC); err != nil {
		return "", err
	}
	switch t.opts.MAC {
	case "keep":
		return "left as the interface has it", nil
	case "cmdline":
		return "from smsc95xx.macaddr= on the kernel command line", nil
	}
	return t.opts.MAC, nil
}
