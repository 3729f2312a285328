package loader

import (
	"regexp"
	"slices"
	"strings"
)

// grub is GRUB 2, on BIOS and UEFI machines: grub.cfg names the files in /boot.
type grub struct{}

func (grub) Name() string { return "GRUB" }

func (grub) Evidence(f Facts) Evidence {
	p := program(f)
	switch {
	case !slices.Contains(f["loader"], "grub/grub.cfg"):
		return Absent
	case strings.HasPrefix(info(f), "grub"), f.Get("mbr") == "grub" && f.Get("efi") == "":
		return Proven
	case info(f) != "" || f.Get("stub_info") != "":
		return Absent
	case strings.HasPrefix(p, "grub"), strings.HasPrefix(p, "shim"):
		return Proven
	}
	return Possible
}

func (grub) Boot(f Facts) (Boot, error) {
	b, err := bootFiles(f)
	if err != nil {
		return b, err
	}
	if !slices.Contains(f["named"], "grub") {
		return Boot{}, refuse("update-grub", "grub.cfg does not name %s", b.File)
	}
	if d := f.Get("grub_default"); d != "" && !strings.HasPrefix(d, "gnulinux-simple-") { // that is the first entry's name
		return b, named(f, d)
	}
	return b, next(f, "grub_next", "GRUB's first menu entry")
}

// release is a kernel's, as Debian's names of menu entries have it.
var release = regexp.MustCompile(`[0-9]+\.[0-9]+(\.[0-9]+)*[-+~.a-z0-9]*`)

// named refuses a default entry that is named after another kernel than the one that runs; of one that is not named after
// any, or by a number, nothing is known.
func named(f Facts, entry string) error {
	if strings.Contains(entry, f.Get("kernel")) || !release.MatchString(entry) {
		return nil
	}
	return next(Facts{"kernel": f["kernel"], "entry": {entry}}, "entry", "GRUB's default entry")
}

// bootFiles is the way in where a loader reads what Debian's packages put in /boot.
func bootFiles(f Facts) (Boot, error) {
	file := f.Get("initrd")
	switch {
	case f.Get("initrd_odd") != "":
		return Boot{}, refuse("", "its initramfs is no plain file: %s", f.Get("initrd_odd"))
	case file == "":
		return Boot{}, refuse("", "it has no /boot/initrd.img-%s", f.Get("kernel"))
	case f.Get("initrd_magic") == "27051956":
		return uBootImage{}.Boot(f)
	}
	b := Boot{Way: Replace, File: file}
	return b, b.Check()
}

// next refuses a device whose running kernel is not the one that boots next: what is pushed for it would never be
// booted. Where the facts do not say which one boots next, nothing is refused.
func next(f Facts, key, what string) error {
	if n := f.Get(key); n != "" && n != f.Get("kernel") {
		return refuse("reboot it, and patch the initramfs of that kernel; or --via kexec", "it runs kernel %s, and %s boots %s next", f.Get("kernel"), what, n)
	}
	return nil
}
