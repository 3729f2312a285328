package loader

import (
	"slices"
	"strings"
)

// systemdBoot is systemd-boot with entries of Type #1: kernels and initramfs are copies on the EFI system partition
// (https://uapi-group.org/specifications/specs/boot_loader_specification/). It is known, so that the leftovers of another loader are
// not taken for what boots; its copies are not replaced here.
type systemdBoot struct{}

func (systemdBoot) Name() string { return "systemd-boot" }

func (systemdBoot) Evidence(f Facts) Evidence {
	switch {
	case strings.HasPrefix(info(f), "systemd-boot"):
		return Proven
	case info(f) != "" || f.Get("efi") == "":
		return Absent
	case strings.HasPrefix(program(f), "systemd-boot"):
		return Proven
	case slices.Contains(f["loader"], "loader/entries"):
		return Possible
	}
	return Absent
}

func (systemdBoot) Boot(f Facts) (Boot, error) {
	text := "systemd-boot starts it, from copies on the EFI system partition that are not replaced here"
	if slices.Contains(f["loader"], "grub/grub.cfg") {
		text += "; /boot/grub/grub.cfg is a leftover"
	}
	return Boot{}, refuse(kexecHint, "%s", text)
}

// unified is a unified kernel image: kernel, initramfs and command line in one EFI program, most often signed.
type unified struct{}

func (unified) Name() string { return "a unified kernel image" }

func (unified) Evidence(f Facts) Evidence {
	if f.Get("stub_info") != "" {
		return Proven
	}
	return Absent
}

func (unified) Boot(Facts) (Boot, error) {
	return Boot{}, refuse(kexecHint, "it boots a unified kernel image, which cannot be patched from outside")
}
