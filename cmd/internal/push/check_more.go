package push

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"groundhog/cmd/internal/loader"
	"groundhog/initrd/show"
)

// checkNetwork: the archive comes up where the device is now.
func (c *pushChecks) checkNetwork() {
	name := c.f.Get("interface")
	switch {
	case name == "":
		c.addFinding("network", Warn, "", "the interface that has the address %s is not found", cmp.Or(c.f.Get("address"), "we came to"))
		return
	case c.f.Get("wireless") != "":
		c.addFinding("network", Refuse, "plug a cable in and come over that", "%s is wireless, which the initramfs does not bring up", name)
		return
	case c.f.Get("stacked") != "" || strings.Contains(name, "."):
		c.addFinding("network", Warn, "", "%s is a %s: the initramfs takes a plain interface, and may get another address", name, cmp.Or(c.f.Get("stacked"), "VLAN"))
		return
	}
	p := PersonalOf(c.f)
	switch {
	case p.Address.IsValid():
		c.addFinding("network", OK, "", "%s has the static address %s: the initramfs gets ip=%s", name, c.f.Get("prefix"), p.IP())
	case c.f.Get("dynamic") != "":
		c.addFinding("network", OK, "", "%s has %s by DHCP, MAC %s", name, c.f.Get("prefix"), c.f.Get("mac"))
	default:
		c.addFinding("network", Warn, "", "%s has the address %s, which the initramfs cannot be given: it asks DHCP", name, c.f.Get("prefix"))
	}
}

// checkStorage: what the root file system stands on.
func (c *pushChecks) checkStorage() {
	if slices.Contains(c.f["root_on"], "crypt") {
		c.addFinding("storage", Warn, "", "/ is encrypted: a boot that nobody flashes asks for the passphrase, as ever")
	}
	d, ok := c.f.Disk()
	if !ok {
		c.addFinding("storage", Warn, "flash --target names the disk", "/ is on %s, %d disks: which one to flash is not recorded", cmp.Or(c.f.Get("root"), "nothing known"), len(c.f["disk"]))
		return
	}
	if d.Size <= 0 {
		c.addFinding("storage", Warn, "flash --target names the disk", "/ is on %s, which does not say how large it is", d.Path)
		return
	}
	if f, larger := Larger(c.f, c.a.Image); larger {
		c.all = append(c.all, f)
		return
	}
	c.addFinding("storage", OK, "", "/ is on %s, %s %s %s", d.Path, show.Bytes(d.Size), d.Model, strings.TrimSpace(d.Serial+" "+d.CID))
}

// Larger is the finding that an image of so many bytes is larger than the disk that carries /; false where it is not, or where the disk's size is not known.
func Larger(f loader.Facts, image int64) (Finding, bool) {
	d, ok := f.Disk()
	if !ok || d.Size <= 0 || image <= d.Size {
		return Finding{}, false
	}
	return Finding{"storage", Refuse, fmt.Sprintf("/ is on %s, which has %d bytes; the image that is to be flashed has %d", d.Path, d.Size, image), "--target names another disk"}, true
}

func (c *pushChecks) checkRest() {
	if c.f.Get("secure_boot") == "1" {
		c.addFinding("secure-boot", OK, "", "secure boot is on, which does not cover an initramfs that the boot loader reads")
	}
	for _, w := range c.f["watchdog"] {
		c.addFinding("watchdog", OK, "", "%s is running: the initramfs feeds it while it waits", w)
	}
	if c.f.Get("systemd") == "" {
		c.addFinding("restore", Warn, "groundhog restore does it", "without systemd the original is not put back by itself")
	}
	if missing := c.f["missing"]; len(missing) > 0 {
		c.addFinding("programs", Refuse, "", "the device has no %s", strings.Join(missing, ", "))
	}
	if c.f.Get("pushed") != "" {
		c.addFinding("pushed", OK, "", "an archive is there already: it is replaced, the original stays kept")
	}
}
