package push

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Verdict is what a finding means for the push.
type Verdict string

const (
	OK     Verdict = "ok"
	Warn   Verdict = "warn"
	Refuse Verdict = "refuse"
)

// Finding is the outcome of one check.
type Finding struct {
	ID      string  `json:"id"`
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`
	Hint    string  `json:"hint,omitzero"` // what to do about it
}

// Archive is what the checks hold against the device.
type Archive struct {
	Size       int64 // bytes, with what is appended for the device
	Arch       string
	Kernel     string
	Release    string
	Board      string // that it was patched for
	Build      string // "" for one that groundhog did not patch
	Dropbear   bool
	Authorized []string // fingerprints of who may log in to it
	Held       []string // fingerprints of the keys that we hold
	Image      int64    // bytes of the image that goes onto the system's disk next; 0: none, or not known
}

// Refused reports whether one of the findings forbids the push.
func Refused(all []Finding) bool {
	return slices.ContainsFunc(all, func(f Finding) bool { return f.Verdict == Refuse })
}

// checks collects findings.
type checks struct {
	f   Facts
	a   Archive
	all []Finding
}

func (c *checks) say(id string, v Verdict, hint, format string, args ...any) {
	c.all = append(c.all, Finding{id, v, fmt.Sprintf(format, args...), hint})
}

// Check holds an archive against a device. All findings come at once; the Boot is good where none of them refuses.
func Check(f Facts, a Archive) ([]Finding, Boot) {
	c := &checks{f: f, a: a}
	c.archive()
	c.machine()
	boot := c.boot()
	c.room(boot)
	c.login()
	c.network()
	c.storage()
	c.rest()
	return c.all, boot
}

func (c *checks) archive() {
	if c.a.Build == "" || !c.a.Dropbear {
		c.say("archive", Refuse, "groundhog patch makes one", "the archive is no reflash initramfs: groundhog did not patch it, or it has no dropbear")
	} else {
		c.say("archive", OK, "", "build %s", c.a.Build)
	}
}

// machine: it runs what the archive was made for.
func (c *checks) machine() {
	for _, m := range []struct{ id, device, archive, hint string }{
		{"architecture", c.f.Get("arch"), c.a.Arch, ""},
		{"kernel", c.f.Get("kernel"), c.a.Kernel, "patch the initramfs of the kernel that runs: /boot/initrd.img-" + c.f.Get("kernel")},
		{"release", c.f.Get("release"), c.a.Release, ""},
	} {
		if m.device != m.archive || m.device == "" {
			c.say(m.id, Refuse, m.hint, "the device has %s %s, the archive is for %s", m.id, or(m.device, "unknown"), or(m.archive, "unknown"))
		} else {
			c.say(m.id, OK, "", "%s", m.device)
		}
	}
	board := c.f.Get("board")
	cm3 := strings.Contains(board, "raspberrypi,3-compute-module")
	switch {
	case cm3 && c.a.Board != "cm3":
		c.say("board", Refuse, "groundhog patch --board cm3", "a Compute Module 3, whose network the archive has no modules and no MAC for")
	case !cm3 && c.a.Board == "cm3":
		c.say("board", Warn, "", "the archive is for a Compute Module 3, the device is %s", or(board, "none that says what it is"))
	case board != "":
		c.say("board", OK, "", "%s", board)
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// boot finds the file that decides what the machine boots.
func (c *checks) boot() Boot {
	loaders := c.f["loader"]
	refuse := func(hint, format string, args ...any) Boot {
		c.say("boot", Refuse, hint, format, args...)
		return Boot{}
	}
	file := c.f.Get("initrd")
	switch {
	case c.f.Get("uki") != "":
		return refuse("", "it boots a unified kernel image, which cannot be patched from outside")
	case slices.Contains(loaders, "firmware/config.txt"):
		return c.firmware(refuse)
	case c.f.Get("initrd_odd") != "":
		return refuse("", "its initramfs is no plain file: %s", c.f.Get("initrd_odd"))
	case file == "":
		return refuse("", "it has no /boot/initrd.img-%s", c.f.Get("kernel"))
	case c.f.Get("initrd_magic") == "27051956" || slices.Contains(loaders, "uInitrd"):
		return refuse("", "it boots an initramfs in a U-Boot image, which carries a header")
	case c.f.Get("named") == "" && slices.Contains(loaders, "grub/grub.cfg"):
		return refuse("update-grub", "grub.cfg does not name %s", file)
	case c.f.Get("named") == "":
		return refuse("", "no boot loader is known that loads %s (found: %s)", file, or(strings.Join(loaders, ", "), "none"))
	}
	b := Boot{File: file}
	if err := b.check(); err != nil {
		return refuse("", "%v", err)
	}
	c.say("boot", OK, "", "%s boots %s", c.f.Get("named"), file)
	return b
}

// firmware: the Raspberry Pi's firmware loads what config.txt names.
func (c *checks) firmware(refuse func(string, string, ...any) Boot) Boot {
	lines := c.f["firmware_initramfs"]
	b := Boot{File: "/boot/firmware/initrd.img-" + c.f.Get("kernel"), Config: "/boot/firmware/config.txt"}
	if len(lines) == 0 && c.f.Get("firmware_auto") == "1" {
		return refuse("raspi-firmware writes an initramfs line", "config.txt has auto_initramfs=1, and no line that names the initramfs")
	}
	if len(lines) != 1 {
		return refuse("", "config.txt has %d initramfs lines, not one", len(lines))
	}
	name, mode, _ := strings.Cut(lines[0], " ")
	ours := strings.TrimRight(name, "_") == strings.TrimRight(b.name(), "_") || strings.HasPrefix(name, "groundhog_-")
	// Without a word behind it the firmware puts it behind the kernel, too: so does Debian's raspi-firmware.
	if mode != "followkernel" && mode != "" || name != path.Base(b.File) && !(ours && c.f.Get("pushed") != "") {
		return refuse("", "config.txt has 'initramfs %s', not 'initramfs %s followkernel'", lines[0], path.Base(b.File))
	}
	if err := b.check(); err != nil {
		return refuse("", "%v", err)
	}
	c.say("boot", OK, "", "config.txt names %s", name)
	return b
}

// spare is KiB that are to stay free.
const spare = 1024

// room: the new file beside the old one, and a copy of the old one.
func (c *checks) room(b Boot) {
	need := c.a.Size/1024 + spare
	kept := c.f.number("initrd_size")/1024 + spare
	dir, key := "/boot", "boot"
	if b.Config != "" {
		dir, key, kept = "/boot/firmware", "firmware", spare // only config.txt is kept
	}
	if c.f.Get(key+"_readonly") != "" {
		c.say("room", Refuse, "mount -o remount,rw "+dir, "%s is mounted read-only", dir)
	}
	if b.Config == "" && c.f.Get("boot_type") == "msdos" { // what stat -f calls FAT
		c.say("links", Warn, "keep its power on until the push is done", "/boot is FAT, which has no hard links: the old initramfs is held open until the new one is durable")
	}
	if c.f.Get("state_readonly") != "" {
		c.say("room", Refuse, "", "/var/lib is mounted read-only: the original could not be kept")
	}
	free, state := c.f.number(key+"_free"), c.f.number("state_free")
	if c.f.Get(key+"_mount") == c.f.Get("state_mount") {
		need += kept
	} else if state < kept {
		c.say("room", Refuse, "", "/var/lib has %d KiB free, the original needs %d", state, kept)
	}
	if free < need {
		c.say("room", Refuse, "an old kernel may be removed, or the archive compressed better: groundhog patch --level", "%s has %d KiB free, %d are needed", dir, free, need)
	} else {
		c.say("room", OK, "", "%s has %d KiB free, %d are needed", dir, free, need)
	}
}

// login: one of the keys that we hold is let in.
func (c *checks) login() {
	for _, h := range c.a.Held {
		if slices.Contains(c.a.Authorized, h) {
			c.say("login", OK, "", "%s is let in", h)
			return
		}
	}
	c.say("login", Refuse, "groundhog patch --authorized-keys FILE.pub, or --identity FILE here", "none of the %d keys that we hold is among the %d that the archive lets in", len(c.a.Held), len(c.a.Authorized))
}
