package loader

import "strings"

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

// removable reports whether a program is the one that a firmware starts without being told which (UEFI specification, 3.5.1.1): it may be any
// loader's copy.
func removable(program string) bool { return strings.HasPrefix(program, "boot") }

// foreignLoader is what started the system, if that is proven and no loader that is known; "" else.
func foreignLoader(f Facts) string {
	if i := loaderInfo(f); i != "" && !strings.HasPrefix(i, "systemd-boot") && !strings.HasPrefix(i, "grub") {
		return f.Get("loader_info")
	}
	p := firmwareProgram(f)
	if p == "" || removable(p) || strings.HasPrefix(p, "grub") || strings.HasPrefix(p, "shim") || strings.HasPrefix(p, "systemd-boot") {
		return ""
	}
	return f.Get("efi_file")
}
