package push

import (
	"slices"
	"strings"
	"testing"

	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/loader"
)

// bench is the facts of a device that everything fits: of devicetest's, on a network and with a disk of 1 GiB.
func bench() loader.Facts {
	f, err := loader.ParseFacts(devicetest.GoodFacts + "end ok\n")
	if err != nil {
		panic(err)
	}
	set(f, "address", "192.0.2.7")
	set(f, "prefix", "192.0.2.7/24")
	set(f, "gateway", "192.0.2.1")
	set(f, "disk_size", "1073741824")
	set(f, "root_on", "disk", "part")
	return f
}

func fitting() Archive {
	return Archive{Size: 35 << 20, Arch: "amd64", Kernel: "6.1.0-56-amd64", Modules: 5, Release: "bookworm", Board: "generic", Build: "b1",
		Dropbear: true, Authorized: []string{"SHA256:a", "SHA256:b"}, Held: []string{"SHA256:x", "SHA256:b"}}
}

// pi turns a bench into a Compute Module whose firmware reads config.txt.
func pi(f loader.Facts, a *Archive) {
	f["loader"] = []string{"firmware/config.txt"}
	f["firmware_initramfs"] = []string{"initrd.img-6.1.0-56-amd64 followkernel"}
	f["firmware_free"], f["firmware_mount"] = []string{"300000"}, []string{"/boot/firmware"}
	f["board"] = []string{"raspberrypi,4-compute-module brcm,bcm2711"}
}

func TestCheckFits(t *testing.T) {
	all, boot := Check(bench(), fitting())
	for _, f := range all {
		if f.Verdict != OK {
			t.Errorf("%+v", f)
		}
	}
	if boot != (loader.Boot{Way: loader.Replace, File: "/boot/initrd.img-6.1.0-56-amd64"}) || len(all) < 8 {
		t.Errorf("%+v, %d findings", boot, len(all))
	}
	f, a := bench(), fitting()
	pi(f, &a)
	all, boot = Check(f, a)
	if Refused(all) || boot.Config != "/boot/firmware/config.txt" || boot.File != "/boot/firmware/initrd.img-6.1.0-56-amd64" {
		t.Errorf("%+v: %+v", boot, all)
	}
	set(f, "firmware_initramfs", "initrd.img-6.1.0-56-amd64") // as raspi-firmware writes it
	if all, _ := Check(f, a); Refused(all) {
		t.Errorf("%+v", all)
	}
	if err := boot.Check(); err != nil {
		t.Error(err)
	}
}

// able makes a bench one that kexec is asked for and works on, though no boot loader of it is known, and its /boot is full.
func able(f loader.Facts, a *Archive) {
	a.Via, a.Unpacked = loader.Kexec, 100<<20
	delete(f, "loader")
	set(f, "boot_free", "0")
	set(f, "memory", "1000000")
	set(f, "memory_available", "800000")
	set(f, "kexec_file", "y")
	set(f, "kexec_disabled", "0")
	set(f, "kernel_size", "10000000")
}

func TestCheckKexec(t *testing.T) {
	f, a := bench(), fitting()
	able(f, &a)
	all, boot := Check(f, a)
	if Refused(all) || boot != (loader.Boot{Way: loader.Kexec, Kernel: "/boot/vmlinuz-6.1.0-56-amd64"}) {
		t.Errorf("%+v: %+v", boot, all)
	}
}

// An archive without modules goes to a device that has loaded none, whether a directory says which kernel's they would be or not.
func TestCheckWithoutModules(t *testing.T) {
	for _, kernel := range []string{"", "6.1.0-56-amd64"} {
		f, a := bench(), fitting()
		a.Kernel, a.Modules = kernel, 0
		set(f, "modules", "0")
		if all, _ := Check(f, a); Refused(all) || slices.ContainsFunc(all, func(f Finding) bool { return f.ID == "kernel" && f.Verdict != OK }) {
			t.Errorf("%q: %+v", kernel, all)
		}
	}
}

// Of a second push the original is kept already: that takes no more room.
func TestCheckRoomAgain(t *testing.T) {
	f, a := bench(), fitting()
	set(f, "boot_mount", "/boot")
	set(f, "state_free", "1100")
	for kept, refused := range map[string]bool{"": true, "yes": false} {
		set(f, "pushed_kept", kept)
		if all, _ := Check(f, a); Refused(all) != refused {
			t.Errorf("kept %q: %+v", kept, all)
		}
	}
}

func set(f loader.Facts, key string, values ...string) { f[key] = values }

// Each has one finding that is not ok, and what it must be.
func TestCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(loader.Facts, *Archive)
		id      string
		verdict Verdict
		text    string
	}{
		"no groundhog archive":             {func(f loader.Facts, a *Archive) { a.Build = "" }, "archive", Refuse, "no reflash initramfs"},
		"no dropbear":                      {func(f loader.Facts, a *Archive) { a.Dropbear = false }, "archive", Refuse, "no dropbear"},
		"architecture":                     {func(f loader.Facts, a *Archive) { a.Arch = "arm64" }, "architecture", Refuse, "has architecture amd64, the archive is for arm64"},
		"kernel":                           {func(f loader.Facts, a *Archive) { a.Kernel = "6.1.0-55-amd64" }, "kernel", Refuse, "6.1.0-55-amd64"},
		"no kernel":                        {func(f loader.Facts, a *Archive) { a.Kernel, a.Modules = "", 0 }, "kernel", Refuse, "cannot be told, and the device works with 40 modules of kernel 6.1.0-56-amd64"},
		"no kernel, an old survey":         {func(f loader.Facts, a *Archive) { a.Kernel, a.Modules = "", 0; delete(f, "modules") }, "kernel", Refuse, "an unknown number of modules"},
		"no modules":                       {func(f loader.Facts, a *Archive) { a.Modules = 0; set(f, "modules", "1") }, "kernel", Warn, "has none of its modules, and the device works with 1 module:"},
		"no modules, another kernel":       {func(f loader.Facts, a *Archive) { a.Modules, a.Kernel = 0, "6.1.0-55-amd64"; set(f, "modules", "0") }, "kernel", Refuse, "for 6.1.0-55-amd64"},
		"release":                          {func(f loader.Facts, a *Archive) { set(f, "release", "trixie") }, "release", Refuse, "trixie"},
		"a CM3":                            {func(f loader.Facts, a *Archive) { set(f, "board", "raspberrypi,3-compute-module brcm,bcm2837") }, "board", Refuse, "Compute Module 3"},
		"not a CM3":                        {func(f loader.Facts, a *Archive) { a.Board = "cm3" }, "board", Warn, "Compute Module 3"},
		"UKI":                              {func(f loader.Facts, a *Archive) { set(f, "stub_info", "systemd-stub 252") }, "boot", Refuse, "unified kernel image"},
		"systemd-boot, a leftover of GRUB": {func(f loader.Facts, a *Archive) { set(f, "efi", "yes"); set(f, "loader_info", "systemd-boot 252") }, "boot", Refuse, "leftover"},
		"upgraded, not rebooted":           {func(f loader.Facts, a *Archive) { set(f, "grub_next", "6.1.0-57-amd64") }, "boot", Refuse, "boots 6.1.0-57-amd64 next"},
		"LOAD_KEXEC":                       {func(f loader.Facts, a *Archive) { set(f, "load_kexec", "true") }, "boot", Refuse, "LOAD_KEXEC"},
		"kexec, arm64":                     {func(f loader.Facts, a *Archive) { able(f, a); set(f, "arch", "arm64"); a.Arch = "arm64" }, "boot", Refuse, "no kexec_file_load"},
		"kexec, not built in":              {func(f loader.Facts, a *Archive) { able(f, a); delete(f, "kexec_file") }, "boot", Refuse, "CONFIG_KEXEC_FILE"},
		"kexec, disabled":                  {func(f loader.Facts, a *Archive) { able(f, a); set(f, "kexec_disabled", "1") }, "boot", Refuse, "kexec_load_disabled"},
		"kexec, no kernel":                 {func(f loader.Facts, a *Archive) { able(f, a); delete(f, "kernel_size") }, "boot", Refuse, "no /boot/vmlinuz-"},
		"kexec, little memory":             {func(f loader.Facts, a *Archive) { able(f, a); set(f, "memory_available", "150000") }, "boot", Refuse, "146 MiB of memory available, to load takes 153"},
		"kexec, no room to unpack":         {func(f loader.Facts, a *Archive) { able(f, a); a.Unpacked = 1 << 30 }, "boot", Refuse, "the archive unpacked takes"},
		"U-Boot image":                     {func(f loader.Facts, a *Archive) { set(f, "initrd_magic", "27051956") }, "boot", Refuse, "U-Boot"},
		"uInitrd":                          {func(f loader.Facts, a *Archive) { set(f, "loader", "uInitrd", "boot.scr") }, "boot", Refuse, "U-Boot"},
		"flash-kernel":                     {func(f loader.Facts, a *Archive) { set(f, "loader", "boot.scr"); delete(f, "named") }, "boot", Refuse, "boot.scr"},
		"systemd-boot":                     {func(f loader.Facts, a *Archive) { set(f, "loader", "loader/entries"); delete(f, "named") }, "boot", Refuse, "loader/entries"},
		"another kernel":                   {func(f loader.Facts, a *Archive) { delete(f, "named") }, "boot", Refuse, "grub.cfg does not name"},
		"no initramfs":                     {func(f loader.Facts, a *Archive) { delete(f, "initrd") }, "boot", Refuse, "no /boot/initrd.img-"},
		"a link":                           {func(f loader.Facts, a *Archive) { delete(f, "initrd"); set(f, "initrd_odd", "l /boot/x -> y") }, "boot", Refuse, "no plain file"},
		"full":                             {func(f loader.Facts, a *Archive) { set(f, "boot_free", "50000") }, "room", Refuse, "50000 KiB free"},
		"no files left":                    {func(f loader.Facts, a *Archive) { set(f, "boot_files", "3") }, "room", Refuse, "room for 3 more files"},
		"no files left in /var":            {func(f loader.Facts, a *Archive) { set(f, "state_files", "0") }, "room", Refuse, "/var/lib has room for 0 more files"},
		"no /var/lib":                      {func(f loader.Facts, a *Archive) { delete(f, "state_free") }, "room", Refuse, "what room /var/lib has cannot be told"},
		"no room is told":                  {func(f loader.Facts, a *Archive) { delete(f, "boot_free") }, "room", Refuse, "what room /boot has cannot be told"},
		"FAT":                              {func(f loader.Facts, a *Archive) { set(f, "boot_type", "msdos") }, "links", Warn, "no hard links"},
		"a FAT for everybody":              {func(f loader.Facts, a *Archive) { set(f, "boot_type", "msdos"); set(f, "boot_perm", "755") }, "host-keys", Warn, "any user of the device can read the private host keys"},
		"read-only":                        {func(f loader.Facts, a *Archive) { set(f, "boot_readonly", "yes") }, "room", Refuse, "read-only"},
		"/var read-only":                   {func(f loader.Facts, a *Archive) { set(f, "state_readonly", "yes") }, "room", Refuse, "/var/lib"},
		"/var full":                        {func(f loader.Facts, a *Archive) { set(f, "boot_mount", "/boot"); set(f, "state_free", "9") }, "room", Refuse, "/var/lib has 9 KiB"},
		"nobody":                           {func(f loader.Facts, a *Archive) { a.Held = []string{"SHA256:x"} }, "login", Refuse, "none of the 1 keys"},
		"wireless":                         {func(f loader.Facts, a *Archive) { set(f, "wireless", "yes") }, "network", Refuse, "wireless"},
		"a bridge":                         {func(f loader.Facts, a *Archive) { set(f, "stacked", "bridge") }, "network", Warn, "bridge"},
		"unseen":                           {func(f loader.Facts, a *Archive) { delete(f, "interface") }, "network", Warn, "is not found"},
		"IPv6":                             {func(f loader.Facts, a *Archive) { delete(f, "dynamic"); set(f, "prefix", "2001:db8::1/64") }, "network", Warn, "2001:db8::1"},
		"LUKS":                             {func(f loader.Facts, a *Archive) { set(f, "root_on", "disk", "crypt") }, "storage", Warn, "passphrase"},
		"an image too large":               {func(f loader.Facts, a *Archive) { a.Image = 1073741825 }, "storage", Refuse, "1073741824 bytes"},
		"RAID":                             {func(f loader.Facts, a *Archive) { set(f, "disk", "/dev/sda", "/dev/sdb") }, "storage", Warn, "2 disks"},
		"no systemd":                       {func(f loader.Facts, a *Archive) { delete(f, "systemd") }, "restore", Warn, "systemd"},
		"no sha256sum":                     {func(f loader.Facts, a *Archive) { set(f, "missing", "sha256sum") }, "programs", Refuse, "sha256sum"},
		"Pi OS": {func(f loader.Facts, a *Archive) {
			pi(f, a)
			delete(f, "firmware_initramfs")
			set(f, "firmware_auto", "1")
		},
			"boot", Refuse, "auto_initramfs"},
		"Pi, two lines": {func(f loader.Facts, a *Archive) {
			pi(f, a)
			f["firmware_initramfs"] = append(f["firmware_initramfs"], "x")
		}, "boot", Refuse, "2 initramfs lines"},
		"Pi, another": {func(f loader.Facts, a *Archive) {
			pi(f, a)
			set(f, "firmware_initramfs", "initrd.img-5.10 followkernel")
		}, "boot", Refuse, "initrd.img-5.10"},
		"Pi, at an address": {func(f loader.Facts, a *Archive) {
			pi(f, a)
			set(f, "firmware_initramfs", "initrd.img-6.1.0-56-amd64 0x1000")
		}, "boot", Refuse, "0x1000"},
		"Pi, full": {func(f loader.Facts, a *Archive) { pi(f, a); set(f, "firmware_free", "9") }, "room", Refuse, "/boot/firmware has 9 KiB"},
		"Pi, not ours": {func(f loader.Facts, a *Archive) {
			pi(f, a)
			set(f, "firmware_initramfs", "groundhog_-6.1.0-56-amd64 followkernel")
		}, "boot", Refuse, "groundhog_"},
		"Pi, /boot/firmware ro": {func(f loader.Facts, a *Archive) { pi(f, a); set(f, "firmware_readonly", "yes") }, "room", Refuse, "/boot/firmware is mounted read-only"},
	} {
		f, a := bench(), fitting()
		c.change(f, &a)
		all, _ := Check(f, a)
		bad := slices.DeleteFunc(slices.Clone(all), func(f Finding) bool { return f.Verdict == OK })
		found := slices.IndexFunc(bad, func(f Finding) bool {
			return f.ID == c.id && f.Verdict == c.verdict && strings.Contains(f.Text, c.text)
		})
		if found < 0 || Refused(all) != (c.verdict == Refuse) {
			t.Errorf("%s: %+v; want %s %s %q", name, bad, c.verdict, c.id, c.text)
		}
	}
}

// A FAT that only root can read tells nobody the archive's keys.
func TestCheckPrivateFAT(t *testing.T) {
	for perm, want := range map[string]bool{"700": false, "500": false, "755": true, "750": true, "": true} {
		f, a := bench(), fitting()
		pi(f, &a)
		set(f, "firmware_perm", perm)
		all, _ := Check(f, a)
		if got := slices.ContainsFunc(all, func(x Finding) bool { return x.ID == "host-keys" && x.Verdict == Warn }); got != want {
			t.Errorf("mode %q: %v", perm, got)
		}
	}
}

// All findings come at once.
func TestCheckAll(t *testing.T) {
	a := fitting()
	a.Arch, a.Held = "arm64", nil
	f := bench()
	set(f, "boot_free", "1")
	all, _ := Check(f, a)
	var ids []string
	for _, f := range all {
		if f.Verdict == Refuse {
			ids = append(ids, f.ID)
		}
	}
	if got := strings.Join(ids, " "); got != "architecture room login" {
		t.Errorf("refused by %q", got)
	}
}

// A push over a push finds its own name in config.txt.
func TestCheckAgain(t *testing.T) {
	f, a := bench(), fitting()
	pi(f, &a)
	set(f, "pushed", strings.Repeat("a", 64))
	for _, name := range []string{"groundhog_-6.1.0-56-amd64", "groundhog_-6.1.0-56-amd6_"} {
		set(f, "firmware_initramfs", name+" followkernel")
		if all, _ := Check(f, a); Refused(all) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

func TestPersonal(t *testing.T) {
	f := bench()
	if p := PersonalOf(f); p != (Personal{}) {
		t.Errorf("DHCP and a MAC of its own: %+v", p)
	}
	delete(f, "dynamic")
	set(f, "mac_assigned", "3")
	p := PersonalOf(f)
	if p.IP() != "192.0.2.7::192.0.2.1:255.255.255.0:::off" || p.MAC.String() != "52:54:00:12:34:56" {
		t.Errorf("%s, %s", p.IP(), p.MAC)
	}
	for _, gateway := range []string{"`id`", "fe80::1%;id", "fe80::1%$(id)"} {
		set(f, "gateway", gateway)
		if p := PersonalOf(f); p.Gateway.IsValid() || strings.Contains(p.IP(), "id") {
			t.Errorf("%+v", p)
		}
	}
}

// grubOnce has all that GRUB's one-shot needs.
func grubOnce(f loader.Facts, a *Archive) {
	for _, key := range []string{"grub_once", "grub_editenv", "grub_entry"} {
		f[key] = []string{"yes"}
	}
	f["grub_type"], f["grub_on"] = []string{"ext4"}, []string{"disk", "part"}
}

// systemdBoot turns a bench into a machine with copies on its EFI system partition.
func systemdBoot(f loader.Facts, a *Archive) {
	f["loader_info"], f["efi"], f["loader_oneshot"] = []string{"systemd-boot 252.39-1~deb12u1"}, []string{"yes"}, []string{"yes"}
	f["esp"], f["esp_sorted"], f["esp_free"], f["esp_mount"], f["esp_type"], f["esp_perm"] = []string{"/boot/efi"}, []string{"yes"}, []string{"100000"}, []string{"/boot/efi"}, []string{"msdos"}, []string{"700"}
	f["kernel_size"] = []string{"14000000"}
	a.Via = loader.OneShot
}

// raspberryPiOS turns a bench into a Compute Module 4 that runs it.
func raspberryPiOS(f loader.Facts, a *Archive) {
	pi(f, a)
	delete(f, "firmware_initramfs")
	f["firmware_flip"] = []string{"yes"}
	f["firmware_auto"], f["firmware_tryboot"], f["firmware_kernel"] = []string{"1"}, []string{"00000000"}, []string{"kernel8.img"}
	f["kernel"], f["firmware_perm"] = []string{"6.12.25+rpt-rpi-v8"}, []string{"700"}
	a.Kernel = f.Get("kernel")
}

// unifiedByFirmware is a machine with a unified image and no boot loader.
func unifiedByFirmware(f loader.Facts, a *Archive) {
	systemdBoot(f, a)
	delete(f, "loader_info")
	delete(f, "loader_oneshot")
	f["stub_info"], f["efi"], f["bootnext"], f["bootnext_part"], f["kernel_stub"] = []string{"systemd-stub 252"}, []string{"yes"}, []string{"yes"}, []string{"x"}, []string{"yes"}
}

// grubOnLVM is a machine whose GRUB cannot write, and whose firmware can be told.
func grubOnLVM(f loader.Facts, a *Archive) {
	grubOnce(f, a)
	systemdBoot(f, a)
	delete(f, "loader_info")
	f["grub_on"], f["bootnext"], f["bootnext_part"], f["kernel_stub"] = []string{"lvm"}, []string{"yes"}, []string{"x"}, []string{"yes"}
}

// A one-shot is taken where it is asked for; what stands in its way is said.
func TestOneShot(t *testing.T) {
	for name, c := range map[string]struct {
		change func(loader.Facts, *Archive)
		way    loader.Way // "" where it is refused
		text   string
	}{
		"GRUB, unasked": {grubOnce, loader.Replace, "GRUB boots /boot/initrd.img-"},
		"GRUB":          {func(f loader.Facts, a *Archive) { grubOnce(f, a); a.Via = loader.OneShot }, loader.NextEntry, "is told to boot the archive once"},
		"GRUB on btrfs": {func(f loader.Facts, a *Archive) {
			grubOnce(f, a)
			a.Via = loader.OneShot
			f["grub_type"] = []string{"btrfs"}
		}, "", "btrfs, where GRUB does not write"},
		"GRUB on LVM, UEFI":        {grubOnLVM, loader.BootNext, "the UEFI firmware is told"},
		"GRUB on LVM, Secure Boot": {func(f loader.Facts, a *Archive) { grubOnLVM(f, a); f["secure_boot"] = []string{"1"} }, "", "on lvm, where GRUB does not write"},
		"systemd-boot":             {systemdBoot, loader.Entry, "is told to boot the archive once"},
		"systemd-boot, replace":    {func(f loader.Facts, a *Archive) { systemdBoot(f, a); a.Via = loader.Replace }, "", "not replaced here"},
		"systemd-boot, unasked":    {func(f loader.Facts, a *Archive) { systemdBoot(f, a); a.Via = "" }, "", "not replaced here"},
		"systemd-boot, no room":    {func(f loader.Facts, a *Archive) { systemdBoot(f, a); f["esp_free"] = []string{"50000"} }, "", "/boot/efi has 50000 KiB free"},
		"systemd-boot, read-only":  {func(f loader.Facts, a *Archive) { systemdBoot(f, a); f["esp_readonly"] = []string{"yes"} }, "", "/boot/efi is mounted read-only"},
		"a UKI by systemd-boot":    {func(f loader.Facts, a *Archive) { systemdBoot(f, a); f["stub_info"] = []string{"systemd-stub 252"} }, loader.Entry, "a unified kernel image is told"},
		"a UKI by the firmware":    {unifiedByFirmware, loader.BootNext, "the UEFI firmware is told"},
		"that UKI, no room":        {func(f loader.Facts, a *Archive) { unifiedByFirmware(f, a); f["esp_free"] = []string{"50000"} }, "", "/boot/efi has 50000 KiB free"},
		"that UKI, Secure Boot":    {func(f loader.Facts, a *Archive) { unifiedByFirmware(f, a); f["secure_boot"] = []string{"1"} }, "", "under Secure Boot the firmware"},
		"that UKI, unasked":        {func(f loader.Facts, a *Archive) { unifiedByFirmware(f, a); a.Via = "" }, "", "cannot be patched from outside"},
		"systemd-boot, LOAD_KEXEC": {func(f loader.Facts, a *Archive) { systemdBoot(f, a); f["load_kexec"] = []string{"true"} }, "", "LOAD_KEXEC"},
		"Raspberry Pi OS":          {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); a.Via = loader.OneShot }, loader.TryBoot, "is told to boot the archive once"},
		"Raspberry Pi OS, unasked": {raspberryPiOS, loader.Auto, "boots the initramfs that config.txt leaves to it"},
		"Raspberry Pi OS, twice": {func(f loader.Facts, a *Archive) {
			raspberryPiOS(f, a)
			f["firmware_auto"] = nil
			f["firmware_initramfs"], f["pushed_way"], f["firmware_gh"] = []string{"gh.img"}, []string{"auto"}, []string{"yes"}
		}, loader.Auto, ""},
		"Raspberry Pi OS, a section":   {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); delete(f, "firmware_flip") }, "", "not one line auto_initramfs=1, for all boards"},
		"Raspberry Pi OS, upgraded":    {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); delete(f, "firmware_kernel") }, "", "kernel is not the one that runs"},
		"Raspberry Pi OS, kernel=":     {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); f["firmware_image"] = []string{"kernel8.img"} }, "", "and kernel=kernel8.img"},
		"Raspberry Pi OS, include":     {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); f["firmware_odd"] = []string{"include"} }, "", "set up by include"},
		"Raspberry Pi OS, gh.img":      {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); f["firmware_gh"] = []string{"yes"} }, "", "gh.img is there"},
		"Raspberry Pi OS, later":       {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); a.Via = loader.OneShot; a.Stays = true }, "", "the reboot itself has to ask"},
		"Raspberry Pi OS, auto, later": {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); a.Stays = true }, loader.Auto, "an upgrade of the kernel brings one"},
		"Raspberry Pi OS, auto, kept":  {func(f loader.Facts, a *Archive) { raspberryPiOS(f, a); a.Keep = true }, loader.Auto, "an upgrade of the kernel brings one"},
		"Raspberry Pi OS, no room": {func(f loader.Facts, a *Archive) {
			raspberryPiOS(f, a)
			a.Via = loader.OneShot
			f["firmware_free"] = []string{"9"}
		}, "", "/boot/firmware has 9 KiB free"},
		"extlinux has none": {func(f loader.Facts, a *Archive) {
			a.Via = loader.OneShot
			f["loader"] = []string{"extlinux/extlinux.conf"}
		}, "", "has no one-shot"},
		"systemd-boot without room": {func(f loader.Facts, a *Archive) { systemdBoot(f, a); delete(f, "esp") }, "", "is mounted at none of"},
	} {
		f, a := bench(), fitting()
		c.change(f, &a)
		all, boot := Check(f, a)
		said := ""
		for _, x := range all {
			said += x.Text + "\n"
		}
		if Refused(all) != (c.way == "") || !Refused(all) && (boot.Way != c.way || boot.Check() != nil) || !strings.Contains(said, c.text) {
			t.Errorf("%s: %+v, want %q and %q:\n%s", name, boot, c.way, c.text, said)
		}
	}
}
