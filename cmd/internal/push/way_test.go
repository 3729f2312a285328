package push

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"groundhog/cmd/internal/loader"
)

// kexecs gives a device all that kexec needs.
func kexecs(f loader.Facts) {
	set(f, "memory", "1000000")
	set(f, "memory_available", "800000")
	set(f, "kexec_file", "y")
	set(f, "kernel_size", "10000000")
}

// loadedDevices is a device of each boot loader, as it should be.
var loadedDevices = map[string]func(loader.Facts, *Archive){
	"GRUB":                  grubOnce,
	"GRUB on LVM, UEFI":     grubOnLVM,
	"systemd-boot":          systemdBoot,
	"a UKI by systemd-boot": func(f loader.Facts, a *Archive) { systemdBoot(f, a); set(f, "stub_info", "systemd-stub 252") },
	"a UKI by the firmware": unifiedByFirmware,
	"rEFInd": func(f loader.Facts, a *Archive) {
		unifiedByFirmware(f, a)
		delete(f, "stub_info")
		set(f, "efi_file", `\EFI\refind\refind_x64.efi`)
	},
	"extlinux.conf": func(f loader.Facts, a *Archive) {
		set(f, "loader", "extlinux/extlinux.conf")
		set(f, "named", "extlinux")
	},
	"boot.scr":        func(f loader.Facts, a *Archive) { set(f, "loader", "boot.scr"); delete(f, "named") },
	"uInitrd":         func(f loader.Facts, a *Archive) { set(f, "initrd_magic", "27051956") },
	"raspi-firmware":  pi,
	"Raspberry Pi OS": raspberryPiOS,
	"nobody knows":    func(f loader.Facts, a *Archive) { delete(f, "loader") },
}

// whatMayBe is what stands in the way of one or the other.
var whatMayBe = map[string]func(loader.Facts){
	"":                    func(f loader.Facts) {},
	"Secure Boot":         func(f loader.Facts) { set(f, "secure_boot", "1") },
	"no boot partition":   func(f loader.Facts) { delete(f, "bootnext"); delete(f, "bootnext_part"); delete(f, "esp") },
	"no ESP with room":    func(f loader.Facts) { set(f, "esp_free", "9") },
	"variables read-only": func(f loader.Facts) { set(f, "efivars_readonly", "yes") },
	"told already": func(f loader.Facts) {
		set(f, "bootnext_told", "0003")
		set(f, "loader_told", "x")
		set(f, "grub_told", "x")
	},
	"the entry's number":    func(f loader.Facts) { set(f, "bootnext_taken", "yes") },
	"an entry of our name":  func(f loader.Facts) { set(f, "esp_entry", "yes") },
	"a default of our name": func(f loader.Facts) { set(f, "loader_default", "groundhog*") },
	"no one-shot": func(f loader.Facts) {
		delete(f, "loader_oneshot")
		delete(f, "grub_once")
		delete(f, "firmware_tryboot")
	},
	"GRUB on btrfs":           func(f loader.Facts) { set(f, "grub_type", "btrfs") },
	"a custom.cfg":            func(f loader.Facts) { set(f, "grub_custom", "yes") },
	"no grub-editenv":         func(f loader.Facts) { delete(f, "grub_editenv") },
	"another kernel is next":  func(f loader.Facts) { set(f, "grub_next", "6.1.0-57-amd64"); set(f, "extlinux_next", "6.1.0-57-amd64") },
	"not named":               func(f loader.Facts) { delete(f, "named") },
	"no initramfs":            func(f loader.Facts) { delete(f, "initrd") },
	"LOAD_KEXEC":              func(f loader.Facts) { set(f, "load_kexec", "true") },
	"a kernel is loaded":      func(f loader.Facts) { set(f, "kexec_loaded", "1") },
	"no room in /boot":        func(f loader.Facts) { set(f, "boot_free", "9") },
	"no room in /var":         func(f loader.Facts) { set(f, "boot_mount", "/boot"); set(f, "state_free", "9") },
	"/boot read-only":         func(f loader.Facts) { set(f, "boot_readonly", "yes") },
	"no room in the firmware": func(f loader.Facts) { set(f, "firmware_free", "9") },
	"include":                 func(f loader.Facts) { set(f, "firmware_odd", "include") },
	"no flip":                 func(f loader.Facts) { delete(f, "firmware_flip") },
	"kernel=":                 func(f loader.Facts) { set(f, "firmware_image", "kernel8.img") },
	"kernel= another":         func(f loader.Facts) { set(f, "firmware_image", "mine.img") },
	"a tryboot.txt":           func(f loader.Facts) { set(f, "firmware_tried", "yes") },
	"a gh.img":                func(f loader.Facts) { set(f, "firmware_gh", "yes") },
	"the firmware's kernel":   func(f loader.Facts) { delete(f, "firmware_kernel") },
	"two initramfs lines":     func(f loader.Facts) { set(f, "firmware_initramfs", "a", "b") },
	"arm64":                   func(f loader.Facts) { set(f, "arch", "arm64") },
}

var viaHint = regexp.MustCompile(`--push-via (\w+)( --reboot)?`)

// Whatever is refused of a way on whatever device: each other way that the hint names is taken there, and what the hint does not name is not.
func TestHintedWays(t *testing.T) {
	refused, hinted := 0, map[string]int{}
	for name, device := range loadedDevices {
		for what, mayBe := range whatMayBe {
			for _, kexec := range []bool{false, true} {
				for _, use := range []loader.Use{{}, {Keep: true}, {Stays: true}} {
					refused += checkHints(t, name+", "+what, hinted, use, func() (loader.Facts, Archive) {
						f, a := bench(), fitting()
						device(f, &a)
						if kexec {
							kexecs(f)
						}
						mayBe(f)
						a.Arch, a.Unpacked, a.Keep, a.Stays, a.ViaFlag = f.Get("arch"), 100<<20, use.Keep, use.Stays, "--push-via"
						return f, a
					})
				}
			}
		}
	}
	for _, way := range loader.Ways {
		if hinted[string(way)] == 0 {
			t.Errorf("%s was never named: %v of %d", way, hinted, refused)
		}
	}
}

// checkHints checks a device by every way, and then by what the hints of that say. It returns how many ways were refused.
func checkHints(t *testing.T, what string, hinted map[string]int, use loader.Use, made func() (loader.Facts, Archive)) (refused int) {
	t.Helper()
	taken := func(way loader.Way, stays bool) ([]Finding, bool) {
		f, a := made()
		a.Via, a.Stays = way, stays
		all, _ := Check(f, a)
		return all, !Refused(all)
	}
	for _, way := range append([]loader.Way{""}, loader.Ways...) {
		if way != "" && way != loader.Replace && use.Keep || way == loader.Kexec && use.Stays {
			continue // the command line says that these do not go together
		}
		all, _ := taken(way, use.Stays)
		i := slices.IndexFunc(all, func(x Finding) bool { return (x.ID == "boot" || x.ID == "room") && x.Verdict == Refuse })
		if i < 0 {
			continue
		}
		refused++
		named := []loader.Way{}
		for _, m := range viaHint.FindAllStringSubmatch(all[i].Hint, -1) {
			hinted[m[1]]++
			named = append(named, loader.Way(m[1]))
			if _, ok := taken(loader.Way(m[1]), use.Stays && m[2] == ""); !ok || use.Keep && m[1] != string(loader.Replace) || use.Stays && m[1] == string(loader.Kexec) && m[2] == "" {
				t.Errorf("%s: %q by %q (%+v) has the hint %q, which is refused", what, all[i].Text, way, use, m[0])
			}
		}
		for _, other := range loader.Ways {
			if _, ok := taken(other, false); ok && !slices.Contains(named, other) && (other == loader.Replace || !use.Keep) {
				t.Errorf("%s: %q by %q (%+v) has the hint %q, and does not name %s", what, all[i].Text, way, use, all[i].Hint, other)
			}
		}
		if rest := viaHint.ReplaceAllString(all[i].Hint, ""); strings.Contains(rest, "--via") {
			t.Errorf("%s: %q: a way that was not looked at: %q", what, all[i].Text, all[i].Hint)
		}
	}
	return refused
}
