package loader

import (
	"path"
	"slices"
	"strings"
)

const configTxt = "/boot/firmware/config.txt"

// raspberry is the Raspberry Pi's firmware, which loads what config.txt names.
type raspberry struct{}

func (raspberry) Name() string { return "the Raspberry Pi's firmware" }

func (raspberry) Evidence(f Facts) Evidence {
	switch {
	case !slices.Contains(f["loader"], "firmware/config.txt"), f.Get("efi") != "" && f.Get("efi_file") != "":
		return Absent
	case strings.Contains(f.Get("board"), "raspberrypi,"):
		return Proven
	}
	return Possible
}

func (raspberry) Boot(f Facts) (Boot, error) {
	lines := f["firmware_initramfs"]
	b := Boot{Way: Name, File: "/boot/firmware/initrd.img-" + f.Get("kernel"), Config: configTxt}
	if len(lines) == 0 && f.Get("firmware_auto") == "1" {
		return Boot{}, refuse("raspi-firmware writes an initramfs line", "config.txt has auto_initramfs=1, and no line that names the initramfs")
	}
	if len(lines) != 1 {
		return Boot{}, refuse("", "config.txt has %d initramfs lines, not one", len(lines))
	}
	name, mode, _ := strings.Cut(lines[0], " ")
	ours := strings.TrimRight(name, "_") == strings.TrimRight(b.archiveName(), "_") || strings.HasPrefix(name, "groundhog_-")
	// Without a word behind it the firmware puts it behind the kernel, too: so does Debian's raspi-firmware.
	if mode != "followkernel" && mode != "" || name != path.Base(b.File) && !(ours && f.Get("pushed") != "") {
		return Boot{}, refuse("", "config.txt has 'initramfs %s', not 'initramfs %s followkernel'", lines[0], path.Base(b.File))
	}
	return b, b.Check()
}

// archiveName is the archive's name beside File, where Config names it: as long as File's, so that
// config.txt changes in one place and keeps its length.
func (b Boot) archiveName() string {
	if b.Way != Name {
		return ""
	}
	return "groundhog_" + strings.TrimPrefix(path.Base(b.File), "initrd.img")
}
