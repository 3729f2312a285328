// Package push holds an archive against a running device: one look at the device (loader.Survey), and every finding at once.
package push

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"groundhog/cmd/internal/loader"
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
	Kernel     string // "" where nothing in it says
	Modules    int    // files of kernel modules
	Release    string
	Board      string // that it was patched for
	Build      string // "" for one that groundhog did not patch
	Dropbear   bool
	Authorized []string   // fingerprints of who may log in to it
	Held       []string   // fingerprints of the keys that we hold
	Unpacked   int64      // bytes of its content
	Via        loader.Way // that was asked for; "": whatever the boot loader allows
	ViaFlag    string     // by which it is asked for; "": --via
	Keep       bool       // it is for more than one boot
	Stays      bool       // the push does not reboot it
	Image      int64      // bytes of the image that goes onto the system's disk next; 0: none, or not known
}

// Refused reports whether one of the findings forbids the push.
func Refused(all []Finding) bool {
	return slices.ContainsFunc(all, func(f Finding) bool { return f.Verdict == Refuse })
}

// pushChecks collects findings.
type pushChecks struct {
	f   loader.Facts
	a   Archive
	all []Finding
}

func (c *pushChecks) addFinding(id string, v Verdict, hint, format string, args ...any) {
	c.all = append(c.all, Finding{id, v, fmt.Sprintf(format, args...), hint})
}

// Check holds an archive against a device. All findings come at once; the Boot is good where none of them refuses.
func Check(f loader.Facts, a Archive) ([]Finding, loader.Boot) {
	c := &pushChecks{f: f, a: a}
	c.checkArchive()
	c.checkMachine()
	boot := c.checkBootLoader()
	c.checkRoom(boot)
	c.hintOtherWays()
	c.checkLogin()
	c.checkNetwork()
	c.checkStorage()
	c.checkRest()
	return c.all, boot
}

func (c *pushChecks) checkArchive() {
	if c.a.Build == "" || !c.a.Dropbear {
		c.addFinding("archive", Refuse, "groundhog patch makes one", "the archive is no reflash initramfs: groundhog did not patch it, or it has no dropbear")
	} else {
		c.addFinding("archive", OK, "", "build %s", c.a.Build)
	}
}

// checkMachine: it runs what the archive was made for.
func (c *pushChecks) checkMachine() {
	for _, m := range []struct{ id, device, archive, hint string }{
		{"architecture", c.f.Get("arch"), c.a.Arch, ""},
		{"release", c.f.Get("release"), c.a.Release, ""},
	} {
		if m.device != m.archive || m.device == "" {
			c.addFinding(m.id, Refuse, m.hint, "the device has %s %s, the archive is for %s", m.id, cmp.Or(m.device, "unknown"), cmp.Or(m.archive, "unknown"))
		} else {
			c.addFinding(m.id, OK, "", "%s", m.device)
		}
	}
	c.checkKernel()
	board := c.f.Get("board")
	cm3 := strings.Contains(board, "raspberrypi,3-compute-module")
	switch {
	case cm3 && c.a.Board != "cm3":
		c.addFinding("board", Refuse, "groundhog patch --board cm3", "a Compute Module 3, whose network the archive has no modules and no MAC for")
	case !cm3 && c.a.Board == "cm3":
		c.addFinding("board", Warn, "", "the archive is for a Compute Module 3, the device is %s", cmp.Or(board, "none that says what it is"))
	case board != "":
		c.addFinding("board", OK, "", "%s", board)
	}
}

// checkKernel: the archive's modules are the running kernel's. Nothing ties an archive without any to a kernel but the directory that they would be
// in. What tells whether a kernel can do without is the device itself: has it loaded none, all that its network and its disks need is built in.
func (c *pushChecks) checkKernel() {
	runs, loaded := c.f.Get("kernel"), c.f.Get("modules")
	todo := "patch the initramfs of the kernel that runs: /boot/initrd.img-" + runs
	switch {
	case runs == "", c.a.Kernel != "" && c.a.Kernel != runs:
		c.addFinding("kernel", Refuse, todo, "the device has kernel %s, the archive is for %s", cmp.Or(runs, "unknown"), cmp.Or(c.a.Kernel, "unknown"))
	case c.a.Kernel == "" && loaded != "0":
		c.addFinding("kernel", Refuse, todo, "the archive has no kernel modules, so that which kernel it is for cannot be told, and the device works with %s of kernel %s", modulesLoaded(loaded), runs)
	case c.a.Kernel == "":
		c.addFinding("kernel", OK, "", "%s, which has loaded no modules, and the archive has none", runs)
	case c.a.Modules == 0 && loaded != "0":
		c.addFinding("kernel", Warn, todo, "%s, but the archive has none of its modules, and the device works with %s: network and disks have to be built in", runs, modulesLoaded(loaded))
	default:
		c.addFinding("kernel", OK, "", "%s", runs)
	}
}

func modulesLoaded(n string) string {
	if n == "1" {
		return "1 module"
	}
	return cmp.Or(n, "an unknown number of") + " modules"
}

// spareKiB is KiB that are to stay free.
const spareKiB = 1024

// checkRoom: the new file beside the old one, and a copy of the old one.
func (c *pushChecks) checkRoom(b loader.Boot) {
	if c.a.Via == loader.Kexec {
		return
	}
	dir := cmp.Or(b.Dir(), "/boot")
	key, beside, kept := b.Room(c.f)
	need := c.a.Size/1024 + spareKiB + beside
	kept += spareKiB
	if c.f.Get(key+"_readonly") != "" {
		c.addFinding("room", Refuse, "mount -o remount,rw "+dir, "%s is mounted read-only", dir)
	}
	c.checkPrivate(dir, key)
	if c.f.Get("state_readonly") != "" {
		c.addFinding("room", Refuse, "", "/var/lib is mounted read-only: the original could not be kept")
	}
	free, state := c.f.Number(key+"_free"), c.f.Number("state_free")
	switch {
	case state < 0:
		c.addFinding("room", Refuse, "", "what room /var/lib has cannot be told: the original could not be kept")
	case c.f.Get(key+"_mount") == c.f.Get("state_mount"):
		need += kept
	case state < kept:
		c.addFinding("room", Refuse, "", "/var/lib has %d KiB free, the original needs %d", state, kept)
	}
	c.checkFiles(dir, key)
	c.checkFiles("/var/lib", "state")
	if free < 0 {
		c.addFinding("room", Refuse, "", "what room %s has cannot be told", dir)
	} else if free < need {
		c.addFinding("room", Refuse, "an old kernel may be removed, or the archive compressed better: groundhog patch --level", "%s has %d KiB free, %d are needed", dir, free, need)
	} else {
		c.addFinding("room", OK, "", "%s has %d KiB free, %d are needed", dir, free, need)
	}
}

// spareFiles is how many files a push may make in one place, with some that are to stay free.
const spareFiles = 16

// checkFiles: where a filesystem has only so many files (inodes), room alone does not tell.
func (c *pushChecks) checkFiles(dir, key string) {
	if files := c.f.Number(key + "_files"); files >= 0 && files < spareFiles {
		c.addFinding("room", Refuse, "df -i shows it; what has made so many small files may be removed", "%s has room for %d more files (inodes), %d are needed", dir, files, spareFiles)
	}
}

// checkPrivate: the archive holds the private host keys of the initramfs, and FAT has no owners: who may read one
// file there may read all.
func (c *pushChecks) checkPrivate(dir, key string) {
	fat := key == "firmware" || c.f.Get(key+"_type") == "msdos"
	if perm := c.f.Get(key + "_perm"); !fat || strings.HasSuffix(perm, "00") {
		return
	}
	c.addFinding("host-keys", Warn, "mount it with umask=0077 in /etc/fstab, or patch with --host-key new, so that they are the initramfs's alone",
		"%s is FAT and mounted for everybody: any user of the device can read the private host keys in the archive", dir)
}

// checkLogin: one of the keys that we hold is let in.
func (c *pushChecks) checkLogin() {
	for _, h := range c.a.Held {
		if slices.Contains(c.a.Authorized, h) {
			c.addFinding("login", OK, "", "%s is let in", h)
			return
		}
	}
	c.addFinding("login", Refuse, "groundhog patch --authorized-keys FILE.pub, or --identity FILE here", "none of the %d keys that we hold is among the %d that the archive lets in", len(c.a.Held), len(c.a.Authorized))
}
