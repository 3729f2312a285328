package loader

import (
	"cmp"
	_ "embed"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed entry.sh
var entryText string

var entryWay = wayRules{way: Entry, shell: entryText, once: true, room: "esp", copies: true, names: onPartition}

// onPartition: the archive and a copy of the kernel are on the EFI system partition, whose place is the Boot's Config.
func onPartition(b Boot) bool {
	return slices.Contains(efiMounts, b.Config) && b.File == b.Config+"/groundhog/initrd"
}

// systemdBoot is systemd-boot with entries of Type #1: kernels and initramfs are copies on the EFI system partition
// (https://uapi-group.org/specifications/specs/boot_loader_specification/). Its copies are not replaced here; it is told to boot others, once.
type systemdBoot struct{}

func (systemdBoot) Name() string { return "systemd-boot" }

func (systemdBoot) Evidence(f Facts) Evidence {
	switch {
	case strings.HasPrefix(loaderInfo(f), "systemd-boot"):
		return Proven
	case loaderInfo(f) != "" || f.Get("efi") == "":
		return Absent
	case strings.HasPrefix(firmwareProgram(f), "systemd-boot"):
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
	return Boot{}, refuseWithHint("", "%s", text)
}

// sortKeyVersion is the first version of systemd-boot that puts an entry without a sort-key behind all that have one. In earlier ones our entry
// could become the default.
const sortKeyVersion = 251

var systemdVersion = regexp.MustCompile(`^systemd-boot ([0-9]{3})\b`)

// Once is LoaderEntryOneShot, with an entry and copies of kernel and archive on its EFI system partition.
func (systemdBoot) Once(f Facts) (Boot, error) {
	version := 0
	if m := systemdVersion.FindStringSubmatch(loaderInfo(f)); m != nil {
		version, _ = strconv.Atoi(m[1])
	}
	for _, pattern := range f["loader_default"] {
		if ok, err := path.Match(pattern, "groundhog.conf"); ok || err != nil {
			return Boot{}, refuseWithHint("", "one-shot: systemd-boot's default is %q, which might be what is pushed", pattern)
		}
	}
	told := f.Get("loader_told")
	switch {
	case version < sortKeyVersion || f.Get("loader_oneshot") == "":
		return Boot{}, refuseWithHint("", "one-shot: %s does not say that it has one, or sorts its entries so that the archive's could be the default", cmp.Or(f.Get("loader_info"), "systemd-boot"))
	case f.Get("secure_boot") == "1":
		return Boot{}, refuseWithHint("", "one-shot: under Secure Boot systemd-boot may refuse Debian's kernel, and then waits for somebody")
	case f.Get("esp") == "":
		return Boot{}, refuseWithHint("mount it where /etc/fstab or bootctl has it", "one-shot: the EFI system partition that systemd-boot was started from is mounted at none of %s", strings.Join(efiMounts, ", "))
	case f.Get("esp_sorted") == "":
		return Boot{}, refuseWithHint("", "one-shot: no entry of systemd-boot's has a sort-key, so the archive's could become the default")
	case told != "" && told != "groundhog.conf":
		return Boot{}, refuseWithHint("bootctl set-oneshot ''", "one-shot: systemd-boot is told already to boot %s next", told)
	case f.Get("esp_entry") != "" && f.Get("pushed_way") != string(Entry):
		return Boot{}, refuseWithHint("remove it, if nobody needs it", "one-shot: %[1]s/groundhog or %[1]s/loader/entries/groundhog.conf is there, and not known to be a push's", f.Get("esp"))
	case f.Get("efivars_readonly") != "":
		return Boot{}, refuseWithHint("mount -o remount,rw /sys/firmware/efi/efivars", "one-shot: the firmware's variables are mounted read-only")
	case f.Number("kernel_size") < 0:
		return Boot{}, refuseWithHint("", "one-shot: it has no /boot/vmlinuz-%s", f.Get("kernel"))
	}
	return Boot{Way: Entry, File: f.Get("esp") + "/groundhog/initrd", Config: f.Get("esp"), Kernel: "/boot/vmlinuz-" + f.Get("kernel")}, nil
}

// Once is systemd-boot's own one-shot, where systemd-boot starts the unified image, and the firmware's where that does.
func (unifiedLoader) Once(f Facts) (Boot, error) {
	if !strings.HasPrefix(loaderInfo(f), "systemd-boot") {
		return bootNext(f)
	}
	return systemdBoot{}.Once(f)
}

// unifiedLoader is a unified kernel image: kernel, initramfs and command line in one EFI program, most often signed.
type unifiedLoader struct{}

func (unifiedLoader) Name() string { return "a unified kernel image" }

func (unifiedLoader) Evidence(f Facts) Evidence {
	if f.Get("stub_info") != "" {
		return Proven
	}
	return Absent
}

func (unifiedLoader) Boot(Facts) (Boot, error) {
	return Boot{}, refuseWithHint("", "it boots a unified kernel image, which cannot be patched from outside")
}
