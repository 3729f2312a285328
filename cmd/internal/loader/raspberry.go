package loader

import (
	_ "embed"
	"path"
	"slices"
	"strings"
)

var (
	//go:embed name.sh
	nameText string
	//go:embed auto.sh
	autoText string
	//go:embed tryboot.sh
	tryBootText string
)

// The firmware's partition; what config.txt names is beside it.
const (
	firmwareDir = "/boot/firmware"
	configTxt   = firmwareDir + "/config.txt"
	autoFile    = firmwareDir + "/gh.img" // "initramfs gh.img" is as long as auto_initramfs=1, whose place it takes
	tryBootFile = firmwareDir + "/groundhog.img"
)

var (
	nameWay = wayRules{way: Name, shell: nameText, dir: firmwareDir, room: "firmware", remarks: nameRemarks,
		names: func(b Boot) bool {
			return bootFile.MatchString(b.File) && strings.HasPrefix(b.File, firmwareDir+"/") && b.Config == configTxt
		}}
	autoWay = wayRules{way: Auto, shell: autoText, dir: firmwareDir, room: "firmware", remarks: autoRemarks,
		names: func(b Boot) bool { return b.File == autoFile && b.Config == configTxt }}
	tryBootWay = wayRules{way: TryBoot, shell: tryBootText, once: true, dir: firmwareDir, room: "firmware", remarks: tryBootRemarks, reboot: "0 tryboot",
		names: func(b Boot) bool { return b.File == tryBootFile && b.Config == configTxt }}
)

// raspberryLoader is the Raspberry Pi's firmware, which loads what config.txt names.
type raspberryLoader struct{}

func (raspberryLoader) Name() string { return "the Raspberry Pi's firmware" }

func (raspberryLoader) Evidence(f Facts) Evidence {
	switch {
	case !slices.Contains(f["loader"], "firmware/config.txt"), f.Get("efi") != "" && f.Get("efi_file") != "":
		return Absent
	case strings.Contains(f.Get("board"), "raspberrypi,"):
		return Proven
	}
	return Possible
}

func (raspberryLoader) Boot(f Facts) (Boot, error) {
	lines := f["firmware_initramfs"]
	b := Boot{Way: Name, File: firmwareDir + "/initrd.img-" + f.Get("kernel"), Config: configTxt}
	if len(lines) == 0 && f.Get("firmware_auto") != "" || f.Get("pushed_way") == string(Auto) {
		return autoBoot(f)
	}
	if len(lines) != 1 {
		return Boot{}, refuseWithHint("", "config.txt has %d initramfs lines, not one", len(lines))
	}
	if odd := f.Get("firmware_odd"); odd != "" && odd != "tryboot_a_b" { // os_prefix has it look for the archive elsewhere, and boot without one
		return Boot{}, refuseWithHint("", "config.txt has %s besides, so the initramfs may be another file than the one that it names", odd)
	}
	name, mode, _ := strings.Cut(lines[0], " ")
	ours := strings.TrimRight(name, "_") == strings.TrimRight(b.archiveName(), "_") || strings.HasPrefix(name, "groundhog_-")
	// The word followkernel may be missing: the firmware loads the initramfs behind the kernel all the same.
	if mode != "followkernel" && mode != "" || name != path.Base(b.File) && !(ours && f.Get("pushed") != "") {
		return Boot{}, refuseWithHint("", "config.txt has 'initramfs %s', not 'initramfs %s followkernel'", lines[0], path.Base(b.File))
	}
	return b, b.Check()
}

// nameRemarks: only the firmware knows which sections of config.txt are for its board, its HDMI, its pins.
func nameRemarks(f Facts, _ Use) []Remark {
	if f.Get("firmware_section") == "" {
		return nil
	}
	return []Remark{{ID: "section", Text: "config.txt has its initramfs line in the section " + f.Get("firmware_section") + ": where that is not for this board, what is pushed is not booted",
		Hint: "a line [all] before it is for every board"}}
}

// autoBoot is the way in where config.txt leaves the initramfs to the firmware. Which kernel that takes is not said by config.txt either, so the one that runs has
// to be among the firmware's.
func autoBoot(f Facts) (Boot, error) {
	pushed := f.Get("pushed_way") == string(Auto)
	switch {
	case f.Get("firmware_odd") != "":
		return Boot{}, refuseWithHint("", "its firmware is set up by %s, which is not known here", f.Get("firmware_odd"))
	case f.Get("firmware_flip") == "":
		return Boot{}, refuseWithHint("one line auto_initramfs=1, and no more", "config.txt has not one line auto_initramfs=1, for all boards, and no other that names an initramfs")
	case f.Get("firmware_kernel") == "":
		return Boot{}, refuseWithHint("reboot it, if its kernel was upgraded", "the firmware's kernel is not the one that runs, %s", f.Get("kernel"))
	case len(f["firmware_image"]) > 0:
		return Boot{}, refuseWithHint("", "config.txt has auto_initramfs=1, and kernel=%s", strings.Join(f["firmware_image"], ", "))
	case f.Get("firmware_gh") != "" && !pushed:
		return Boot{}, refuseWithHint("remove it, if nobody needs it", "%s is there, and not known to be a push's", autoFile)
	}
	return Boot{Way: Auto, File: autoFile, Config: configTxt, what: "the initramfs that config.txt leaves to it (auto_initramfs=1)"}, nil
}

// autoRemarks: the archive is for the kernel that runs, and config.txt names the archive, whatever kernel there is beside it. An upgrade puts another one there.
func autoRemarks(_ Facts, u Use) []Remark {
	if !u.Keep && !u.Stays {
		return nil
	}
	return []Remark{{ID: "upgrade", Text: "until the original is back, the archive is booted with whatever kernel the firmware finds: an upgrade of the kernel brings one that the archive has no modules for",
		Hint: "no upgrades before it has booted, or groundhog restore before them; --reboot boots it at once"}}
}

// Once is tryboot.txt, as the kernels of Raspberry Pi OS can ask for it. Firmwares differ in which kernel and initramfs they take unnamed, so
// both are named.
func (raspberryLoader) Once(f Facts) (Boot, error) {
	image := f.Get("firmware_kernel")
	switch {
	case !strings.Contains(f.Get("kernel"), "+rpt-rpi-"):
		return Boot{}, refuseWithHint("", "one-shot: kernel %s is none of Raspberry Pi OS's, which alone can ask the firmware for a tryboot", f.Get("kernel"))
	case f.Get("firmware_tryboot") == "":
		return Boot{}, refuseWithHint("a newer firmware or bootloader EEPROM", "one-shot: the firmware does not say that it knows tryboot")
	case f.Get("firmware_odd") != "":
		return Boot{}, refuseWithHint("", "one-shot: its firmware is set up by %s, which is not known here", f.Get("firmware_odd"))
	case image == "":
		return Boot{}, refuseWithHint("reboot it, if its kernel was upgraded", "one-shot: the firmware's kernel is not the one that runs, %s", f.Get("kernel"))
	case slices.ContainsFunc(f["firmware_image"], func(name string) bool { return name != image }):
		return Boot{}, refuseWithHint("", "one-shot: config.txt has kernel=%s, not %s", strings.Join(f["firmware_image"], ", "), image)
	case f.Get("firmware_tried") != "":
		return Boot{}, refuseWithHint("", "one-shot: there is a tryboot.txt, which stays as it is")
	}
	return Boot{Way: TryBoot, File: tryBootFile, Config: configTxt, Kernel: "/boot/vmlinuz-" + f.Get("kernel")}, nil
}

// tryBootRemarks: nothing on the disk asks for a tryboot.
func tryBootRemarks(_ Facts, u Use) []Remark {
	if !u.Stays {
		return nil
	}
	return []Remark{{ID: "reboot", Refuses: true, Text: "one-shot: the reboot itself has to ask the firmware for it", Hint: "it goes with --reboot"}}
}

// Tried is what /proc/device-tree/chosen/bootloader/tryboot has after a tryboot.
const Tried = "\x00\x00\x00\x01"

// archiveName is the archive's name beside File, where Config names it: as long as File's, so that
// config.txt changes in one place and keeps its length.
func (b Boot) archiveName() string {
	if b.Way != Name {
		return ""
	}
	return "groundhog_" + strings.TrimPrefix(path.Base(b.File), "initrd.img")
}
