package patches

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

// driverClass is what a kernel module drives, as far as reaching the machine goes.
type driverClass int

const (
	noDriver driverClass = iota
	wirelessDriver
	wiredDriver
)

// wiredDirs is where below drivers/net the kernel has drivers of wired cards, the
// virtual ones of hypervisors included. Elsewhere there are transceivers, switches,
// CAN buses, tunnels and the like.
var wiredDirs = []string{".", "ethernet", "usb", "hyperv", "vmxnet3"}

// classOfDriver judges a module by its aliases, and by the directory of the kernel's sources that it
// is from: a library for drivers, such as mii or usbnet, has no alias on any bus. The directory of a
// module that is not the kernel's own says nothing: such a module drives a card if it imports the
// function that registers one. module is the file's content, unpacked.
func classOfDriver(name string, aliases []string, module []byte) driverClass {
	if !slices.ContainsFunc(aliases, onBus) {
		return noDriver
	}
	_, below, inKernel := strings.Cut(name, "/drivers/net/")
	top, _, _ := strings.Cut(path.Dir(below), "/")
	imports := func(symbol string) bool { return bytes.Contains(module, []byte("\x00"+symbol+"\x00")) }
	switch {
	case inKernel && top == "wireless":
		return wirelessDriver
	case inKernel && slices.Contains(wiredDirs, top), strings.Contains(name, "/drivers/s390/net/"):
		return wiredDriver
	case inKernel || strings.Contains(name, "/kernel/"):
		return noDriver
	case imports("wiphy_register"), imports("ieee80211_register_hw"):
		return wirelessDriver
	case imports("register_netdev"), imports("usbnet_probe"):
		return wiredDriver
	}
	return noDriver
}

// onBus reports whether an alias is of a device on a bus, "pci:v00008086d*", and not one
// of a protocol, of a file in /dev or of a transceiver.
func onBus(alias string) bool {
	bus, _, ok := strings.Cut(alias, ":")
	return ok && bus != "mdio" && bus != "devname"
}

// noteDriver tells of an archive that has no driver of a wired card, as it is after
// all patches.
func (t *Archive) noteDriver() error {
	best, wireless := noDriver, ""
	consider := func(name, file string, aliases []string, module []byte) {
		class := classOfDriver(file, aliases, module)
		if class == wirelessDriver && (wireless == "" || name < wireless) {
			wireless = name
		}
		best = max(best, class)
	}
	builtin := t.builtinAliases()
	for _, file := range t.builtinModules() {
		name, _ := debian.ModuleName(file)
		aliases := builtin[name]
		if builtin == nil { // nobody says: by where it lies
			aliases = []string{"unknown:"}
		}
		consider(name, "/kernel/"+strings.TrimPrefix(file, "kernel/"), aliases, nil)
	}
	aliases := t.moduleAliases()
	for name, file := range t.modulesThere() {
		list, module := aliases[name], []byte(nil)
		if aliases == nil || !strings.Contains(file, "/kernel/") {
			b, err := t.Image.ReadFile(file)
			if err != nil {
				return err
			}
			if module, err = sysroot.UnpackModule(file, b); err != nil {
				continue // the kernel will not load it
			}
			if info, err := sysroot.ParseModinfo(file, module); err == nil {
				list = info.Aliases
			}
		}
		consider(name, "/"+file, list, module)
	}
	switch {
	case best == wiredDriver:
	case best == wirelessDriver:
		t.addNote("of network drivers there are only wireless ones in the archive, such as %s: unless the kernel has a wired card's built in, name one with --module", wireless)
	default:
		t.addNote("no network driver in the archive: unless the kernel has it built in, name one with --module")
	}
	return nil
}

// moduleAliases is modules.alias, by module; nil where the archive has none.
func (t *Archive) moduleAliases() map[string][]string {
	b, err := t.Image.ReadFile("lib/modules/" + t.Kernel + "/modules.alias")
	if err != nil {
		return nil
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "alias" {
			name := strings.ReplaceAll(f[2], "-", "_")
			all[name] = append(all[name], f[1])
		}
	}
	return all
}

// builtinModules is the paths of modules.builtin.
func (t *Archive) builtinModules() []string {
	b, _ := t.Image.ReadFile("lib/modules/" + t.Kernel + "/modules.builtin")
	return strings.Fields(string(b))
}

// builtinAliases is what the drivers in the kernel are for, by module; nil where the archive does not say.
func (t *Archive) builtinAliases() map[string][]string {
	b, err := t.Image.ReadFile("lib/modules/" + t.Kernel + "/modules.builtin.modinfo")
	if err != nil {
		return nil
	}
	return sysroot.BuiltinInfo(string(b), "alias")
}
