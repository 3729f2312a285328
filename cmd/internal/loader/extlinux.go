package loader

import "slices"

// extlinuxLoader is extlinux.conf, as U-Boot reads it and SYSLINUX.
type extlinuxLoader struct{}

func (extlinuxLoader) Name() string { return "extlinux.conf" }

func (extlinuxLoader) Evidence(f Facts) Evidence {
	if !slices.Contains(f["loader"], "extlinux/extlinux.conf") || loaderInfo(f) != "" || f.Get("stub_info") != "" || f.Get("mbr") == "grub" && f.Get("efi") == "" {
		return Absent
	}
	return Possible
}

func (extlinuxLoader) Boot(f Facts) (Boot, error) {
	b, err := bootFiles(f)
	if err == nil {
		err = checkNextKernel(f, "extlinux_next", "extlinux.conf's default")
	}
	if err == nil && !slices.Contains(f["named"], "extlinux") {
		err = refuseWithHint("u-boot-update", "extlinux.conf does not name %s for what it boots by default", b.File)
	}
	return b, err
}

// uBootImage is a boot script of U-Boot that loads an initramfs with a header of its own, as flash-kernel makes it.
type uBootImage struct{}

func (uBootImage) Name() string { return "U-Boot" }

// Evidence is none of a boot.scr that lies beside an extlinux.conf: U-Boot looks for that first (doc/develop/distro.rst there).
func (uBootImage) Evidence(f Facts) Evidence {
	script := slices.Contains(f["loader"], "boot.scr") && !slices.Contains(f["loader"], "extlinux/extlinux.conf")
	if script || slices.Contains(f["loader"], "uInitrd") || f.Get("initrd_magic") == "27051956" {
		return Possible
	}
	return Absent
}

func (uBootImage) Boot(f Facts) (Boot, error) {
	if slices.Contains(f["loader"], "uInitrd") || f.Get("initrd_magic") == "27051956" {
		return Boot{}, refuseWithHint("", "it boots an initramfs in a U-Boot image, which carries a header")
	}
	return Boot{}, refuseWithHint("u-boot-menu makes an extlinux.conf, which is known", "U-Boot boots it by boot.scr, which says only to U-Boot what it loads")
}
