package loader

import (
	"cmp"
	_ "embed"
	"slices"
	"strings"
)

// What UEFI machines say of how they were started: LoaderInfo and StubInfo are variables that the loaders themselves
// set (https://systemd.io/BOOT_LOADER_INTERFACE/), BootCurrent and the path in its Boot#### are the firmware's (UEFI
// specification, 3.3). All are of this boot.

// loaderInfo is what the loader said of itself, in lower case: "systemd-boot 252.39", "grub 2.12"; "" for one that says nothing.
func loaderInfo(f Facts) string { return strings.ToLower(f.Get("loader_info")) }

// firmwareProgram is the file that the firmware started, in lower case and without its directory: "shimx64.efi"; "" where that is not known.
func firmwareProgram(f Facts) string {
	path := strings.ToLower(f.Get("efi_file"))
	return path[strings.LastIndexByte(path, '\\')+1:]
}

// isRemovablePath reports whether a program is the one that a firmware starts without being told which (UEFI specification, 3.5.1.1): it may be any
// loader's copy.
func isRemovablePath(program string) bool { return strings.HasPrefix(program, "boot") }

// foreignLoader is what started the system, if that is proven and no loader that is known; "" else.
func foreignLoader(f Facts) string {
	if i := loaderInfo(f); i != "" && !strings.HasPrefix(i, "systemd-boot") && !strings.HasPrefix(i, "grub") {
		return f.Get("loader_info")
	}
	if f.Get("efi_refind") != "" && loaderInfo(f) == "" {
		return cmp.Or(f.Get("efi_file"), "rEFInd")
	}
	p := firmwareProgram(f)
	if p == "" || isRemovablePath(p) || strings.HasPrefix(p, "grub") || strings.HasPrefix(p, "shim") || strings.HasPrefix(p, "systemd-boot") {
		return ""
	}
	return f.Get("efi_file")
}

// otherEFI is what a UEFI firmware starts and nobody knows here, rEFInd for one, or a kernel itself. The firmware can be told to start another program once.
type otherEFI struct{}

func (otherEFI) Name() string { return "a program of UEFI" }

func (otherEFI) Evidence(f Facts) Evidence {
	if foreignLoader(f) == "" {
		return Absent
	}
	return Proven
}

func (otherEFI) Boot(f Facts) (Boot, error) {
	return Boot{}, refuseWithHint("", "it is started by %s, which is not known here", foreignLoader(f))
}

func (otherEFI) Once(f Facts) (Boot, error) { return bootNext(f) }

//go:embed bootnext.sh
var bootNextText string

var bootNextWay = wayRules{way: BootNext, shell: bootNextText, once: true, room: "esp", copies: true, names: onPartition}

// bootNextNumber is the load option that bootnext.sh makes.
const bootNextNumber = "6768"

// bootNext is the way in by the firmware's BootNext and a kernel that is a program of UEFI. Where that program is on a disk is taken from the load option that
// the firmware started this system by: which path a firmware makes something of is not to be guessed.
func bootNext(f Facts) (Boot, error) {
	told := f.Get("bootnext_told")
	switch {
	case f.Get("efi") == "" || f.Get("arch") != "amd64":
		return Boot{}, refuseWithHint("", "one-shot: that takes a machine with UEFI, and amd64")
	case f.Get("secure_boot") == "1":
		return Boot{}, refuseWithHint("", "one-shot: under Secure Boot the firmware starts no kernel of Debian's by itself")
	case f.Get("bootnext_part") == "":
		return Boot{}, refuseWithHint("", "one-shot: the firmware does not say from which partition of a GPT it was started")
	case f.Get("bootnext") == "":
		return Boot{}, refuseWithHint("mount it where /etc/fstab has it", "one-shot: the EFI system partition that the firmware started, %s, is mounted at none of %s", f.Get("bootnext_part"), strings.Join(efiMounts, ", "))
	case f.Get("kernel_stub") == "" || f.Number("kernel_size") < 0:
		return Boot{}, refuseWithHint("", "one-shot: /boot/vmlinuz-%s is not there, or no program of UEFI (CONFIG_EFI_STUB)", f.Get("kernel"))
	case f.Get("efivars_readonly") != "":
		return Boot{}, refuseWithHint("mount -o remount,rw /sys/firmware/efi/efivars", "one-shot: the firmware's variables are mounted read-only")
	case told != "" && told != bootNextNumber:
		return Boot{}, refuseWithHint("efibootmgr --delete-bootnext", "one-shot: the firmware is told already to boot its entry %s next", told)
	case f.Get("bootnext_taken") != "":
		return Boot{}, refuseWithHint("", "one-shot: the firmware has an entry %s that is not a push's, and stays as it is", bootNextNumber)
	case f.Get("esp_entry") != "" && !slices.Contains([]Way{Entry, BootNext}, Way(f.Get("pushed_way"))):
		return Boot{}, refuseWithHint("remove it, if nobody needs it", "one-shot: %s/groundhog is there, and not known to be a push's", f.Get("esp"))
	}
	return Boot{Way: BootNext, File: f.Get("esp") + "/groundhog/initrd", Config: f.Get("esp"), Kernel: "/boot/vmlinuz-" + f.Get("kernel"), who: "the UEFI firmware"}, nil
}
