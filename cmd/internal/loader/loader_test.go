package loader

import (
	"cmp"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"groundhog/fixtures/judge"
)

const running = "6.1.0-56-amd64"

// tree is a device's files, as the survey looks at them. mbr is what its disk's boot sector is said to have.
func (l *local) survey(mbr string) Facts {
	l.t.Helper()
	l.edit = func(program string) string {
		return noSeek + "uname() { case $1 in -r) echo " + running + ";; *) echo x86_64;; esac; }\n" +
			"findmnt() { case $* in *SOURCE*-M*/boot/efi | *SOURCE\\ /*) echo /dev/x ;; esac; }\nblockdev() { :; }\n" +
			"dpkg() { echo " + cmp.Or(l.arch, "amd64") + "; }\nlsblk() { case $* in *PARTUUID\\ /dev/x) echo " + diskGUID + " ;; *) echo '/dev/x disk' ;; esac; }\ndd() { echo '" + mbr + "'; }\n" +
			strings.ReplaceAll(program, `[ -b "$source" ]`, "true")
	}
	f, err := Survey(l.t.Context(), l)
	if err != nil {
		l.t.Fatal(err)
	}
	return f
}

// noSeek has tail fail on what is like a file of efivarfs, as it does on a device: "cannot seek to relative offset 4: Illegal seek"; cmp -s takes a file where it
// does not know its position for one that is a byte longer.
const noSeek = "cmp() { case $* in *efivars*) return 1 ;; esac; command cmp \"$@\"; }\ntail() { case $* in *efivars*) echo 'Illegal seek' >&2; return 1 ;; esac; command tail \"$@\"; }\n"

func (l *local) put(name, text string) {
	l.t.Helper()
	judge.WriteTree(l.t, l.root, map[string]string{name: text})
}

// variable is an EFI variable's file: attributes, and the value.
func (l *local) variable(name, value string) {
	l.put("sys/firmware/efi/efivars/"+name, "\x06\x00\x00\x00"+value)
}

func utf16le(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

const (
	loaderGUID = "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
	globalGUID = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"
)

// started has the firmware say which program it started: BootCurrent, and a load option (UEFI specification, 3.1.3) with a disk and a file.
func (l *local) started(program string) {
	l.variable("BootCurrent"+globalGUID, "\x0a\x00")
	file := utf16le(program)
	path := diskNode + "\x04\x04" + string([]byte{byte(4 + len(file)), 0}) + file + "\x7f\xff\x04\x00"
	l.variable("Boot000A"+globalGUID, "\x01\x00\x00\x00"+string([]byte{byte(len(path)), 0})+utf16le("debian")+path)
}

// diskNode is the node of a path that names the partition of a GPT (10.3.5.1): number, start, size, GUID, and which table and signature those are.
var diskNode = "\x04\x01\x2a\x00\x02\x00\x00\x00" + strings.Repeat("A", 16) + "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x02\x02"

const diskGUID = "00112233-4455-6677-8899-aabbccddeeff"

func (l *local) grub(kernels ...string) {
	text := "set default=\"0\"\n"
	for _, k := range kernels {
		text += "menuentry 'Debian' {\n\tlinux\t/boot/vmlinuz-" + k + " root=UUID=x ro quiet\n\tinitrd\t/boot/initrd.img-" + k + "\n}\n"
	}
	l.put("boot/grub/grub.cfg", text)
}

// grubMenu is a grub.cfg in which the kernel that runs is one of several, with a default, and a line of grubenv.
func (l *local) grubMenu(def, env string) {
	entry := func(title, id, kernel, initrd string) string {
		return "menuentry '" + title + "' --class debian $menuentry_id_option '" + id + "' {\n\t# initrd /boot/initrd.img-" + running + "\n\tlinux\t/boot/vmlinuz-" + kernel +
			" root=UUID=x ro  quiet\n\tinitrd\t/boot/early.img \\\n\t\t" + initrd + "\n}\n"
	}
	const newer, older = "6.1.0-57-amd64", "6.1.0-55-amd64"
	text := "if [ \"${next_entry}\" ] ; then\n   set default=\"${next_entry}\"\n   set next_entry=\n   save_env next_entry\nelse\n   set default=\"" + def + "\"\nfi\n" +
		entry("Debian", "gnulinux-simple-x", newer, "/boot/initrd.img-"+newer) + "submenu 'Advanced' $menuentry_id_option 'gnulinux-advanced-x' {\n"
	text += entry("the newest", "gnulinux-"+newer+"-advanced-x", newer, "/boot/initrd.img-"+newer) + entry("the kernel that runs", "gnulinux-"+running+"-advanced-x", running, "/boot/initrd.img-"+running) +
		entry("the oldest", "gnulinux-"+older+"-advanced-x", older, "/boot/initrd.img-"+older) + "}\n" +
		entry("also old", "x", older, "/boot/initrd.img-"+older) + entry("by hand", "y", running, "/boot/mine.img")
	l.put("boot/grub/grub.cfg", text)
	l.put("boot/grub/grubenv", "# GRUB Environment Block\n"+env+"\n"+strings.Repeat("#", 900))
}

func (l *local) extlinux() {
	l.put("boot/extlinux/extlinux.conf", "default l0\nlabel l0\n\tlinux /boot/vmlinuz-"+running+"\n\tinitrd /boot/initrd.img-"+running+"\n")
}

func TestOf(t *testing.T) {
	for name, c := range map[string]struct {
		make     func(l *local)
		mbr      string
		loader   string // "" for none
		evidence Evidence
		text     string // of the refusal, "" for none
	}{
		"GRUB on BIOS":               {func(l *local) { l.grub(running) }, "xxGRUB Geom", "GRUB", Proven, ""},
		"GRUB, another boot sector":  {func(l *local) { l.grub(running) }, "SYSLINUX", "GRUB", Possible, ""},
		"GRUB on UEFI by shim":       {func(l *local) { l.grub(running); l.started(`\EFI\debian\shimx64.efi`) }, "", "GRUB", Proven, ""},
		"GRUB at the removable path": {func(l *local) { l.grub(running); l.started(`\EFI\BOOT\BOOTX64.EFI`) }, "", "GRUB", Possible, ""},
		"GRUB that says so": {func(l *local) { l.grub(running); l.variable("LoaderInfo"+loaderGUID, utf16le("GRUB 2.12")) },
			"", "GRUB", Proven, ""},
		"systemd-boot, a leftover of GRUB": {func(l *local) {
			l.grub(running)
			l.put("boot/efi/loader/entries/debian.conf", "")
			l.started(`\EFI\systemd\systemd-bootx64.efi`)
			l.variable("LoaderInfo"+loaderGUID, utf16le("systemd-boot 252.39-1~deb12u1"))
		}, "GRUB", "systemd-boot", Proven, "/boot/grub/grub.cfg is a leftover"},
		"systemd-boot at the removable path": {func(l *local) {
			l.grub(running)
			l.started(`\EFI\BOOT\BOOTX64.EFI`)
			l.variable("LoaderInfo"+loaderGUID, utf16le("systemd-boot 257.9-1"))
		}, "", "systemd-boot", Proven, "systemd-boot starts it"},
		"systemd-boot by its program": {func(l *local) { l.grub(running); l.started(`\EFI\systemd\systemd-bootx64.efi`) }, "", "systemd-boot", Proven, "leftover"},
		"a UKI by systemd-boot": {func(l *local) {
			l.grub(running)
			l.variable("LoaderInfo"+loaderGUID, utf16le("systemd-boot 257.9-1"))
			l.variable("StubInfo"+loaderGUID, utf16le("systemd-stub 257.9-1"))
		}, "", "a unified kernel image", Proven, "unified kernel image"},
		"a UKI by the firmware": {func(l *local) { l.grub(running); l.variable("StubInfo"+loaderGUID, "") }, "", "a unified kernel image", Proven, "unified"},
		"rEFInd":                {func(l *local) { l.grub(running); l.started(`\EFI\refind\refind_x64.efi`) }, "", "a program of UEFI", Proven, `\EFI\refind\refind_x64.efi`},
		"rEFInd at the removable path": {func(l *local) {
			l.grub(running)
			l.put("boot/efi/EFI/BOOT/BOOTX64.EFI", "MZ\x00\x01"+utf16le("rEFInd - Booting OS"))
			l.started(`\EFI\BOOT\BOOTX64.EFI`)
		}, "", "a program of UEFI", Proven, `\EFI\BOOT\BOOTX64.EFI`},
		"rEFInd by a firmware that names no file": {func(l *local) {
			l.grub(running)
			l.put("boot/efi/EFI/BOOT/BOOTX64.EFI", "MZ\x00\x01"+utf16le("rEFInd - Booting OS"))
			l.variable("BootCurrent"+globalGUID, "\x0a\x00")
		}, "", "a program of UEFI", Proven, "rEFInd"},
		"rEFInd on another partition": {func(l *local) {
			l.grub(running)
			l.put("boot/EFI/BOOT/BOOTX64.EFI", "MZ\x00\x01"+utf16le("rEFInd - Booting OS"))
			l.started(`\EFI\BOOT\BOOTX64.EFI`)
		}, "", "GRUB", Possible, ""},
		"rEFInd beside what was started": {func(l *local) {
			l.grub(running)
			l.put("boot/efi/EFI/BOOT/BOOTX64.EFI", "MZ\x00\x01"+utf16le("rEFInd - Booting OS"))
			l.put("boot/efi/EFI/debian/shimx64.efi", "MZ")
			l.started(`\EFI\debian\shimx64.efi`)
		}, "", "GRUB", Proven, ""},
		"rEFInd that says so":                        {func(l *local) { l.grub(running); l.variable("LoaderInfo"+loaderGUID, utf16le("rEFInd 0.14")) }, "", "a program of UEFI", Proven, "rEFInd 0.14"},
		"the kernel's stub":                          {func(l *local) { l.grub(running); l.started(`\EFI\debian\vmlinuz.efi`) }, "", "a program of UEFI", Proven, `vmlinuz.efi`},
		"the kernel's stub, as Debian's wiki has it": {func(l *local) { l.started(`\EFI\debian\vmlinuz`) }, "", "a program of UEFI", Proven, `\EFI\debian\vmlinuz`},
		"systemd-boot alone, without variables": {func(l *local) { l.put("efi/loader/entries/x.conf", ""); l.put("sys/firmware/efi/runtime", "") }, "", "systemd-boot", Possible,
			"systemd-boot"},
		"extlinux": {(*local).extlinux, "", "extlinux.conf", Possible, ""},
		"extlinux, a leftover of GRUB on arm64": {func(l *local) {
			l.arch = "arm64"
			l.grub(running)
			l.extlinux()
		}, "", "extlinux.conf", Possible, ""},
		"extlinux by menu default": {func(l *local) {
			l.put("boot/extlinux/extlinux.conf", "# a comment\nTIMEOUT 10\nLABEL old kernel\n  LINUX ../vmlinuz-6.1.0-55-amd64\n  INITRD ../initrd.img-6.1.0-55-amd64\n\n"+
				"label new kernel\n  menu default\n  linux ../vmlinuz-"+running+"#conf\n  append ro initrd=../initrd.img-"+running)
		}, "", "extlinux.conf", Possible, ""},
		"extlinux that boots another label at last": {func(l *local) {
			l.extlinux()
			l.put("boot/extlinux/extlinux.conf", l.read("boot/extlinux/extlinux.conf")+"label the old one\n\tlinux /boot/vmlinuz-6.1.0-55-amd64\n\tinitrd /boot/initrd.img-6.1.0-55-amd64\nontimeout the old one\n")
		}, "", "extlinux.conf", Possible, "boots 6.1.0-55-amd64 next"},
		"extlinux, in another label": {func(l *local) {
			l.put("boot/extlinux/extlinux.conf", "default l0\nlabel l1\n\tlinux /boot/vmlinuz-"+running+"\n\tinitrd /boot/initrd.img-"+running+"\nlabel l0\n\tlinux /boot/vmlinuz-"+running+
				"\n\tinitrd /boot/initrd.img-"+running+".old\n\tinitrd /boot/initrd.img-"+running+"\n")
		}, "", "extlinux.conf", Possible, "extlinux.conf does not name"},
		"extlinux, in a comment": {func(l *local) {
			l.put("boot/extlinux/extlinux.conf", "label l0\n\tlinux /boot/vmlinuz-"+running+"\n\t#initrd /boot/initrd.img-"+running+"\n")
		}, "", "extlinux.conf", Possible, "extlinux.conf does not name"},
		"extlinux by includes": {func(l *local) {
			l.put("boot/extlinux/extlinux.conf", "default ours\nmenu include more/first.conf\nlabel l0\n\tlinux /vmlinuz-6.1.0-55-amd64\n\tinclude /boot/extlinux/second.conf\n\tinitrd /nothing\n")
			l.put("boot/extlinux/more/first.conf", "INCLUDE /extlinux/third.conf\ninclude gone.conf\n")
			l.put("boot/extlinux/third.conf", "label l3\n\tlinux /vmlinuz-6.1.0-57-amd64\n")
			l.put("boot/extlinux/second.conf", "include extlinux.conf\nlabel ours\n\tlinux /vmlinuz-"+running+"\n\tinitrd /initrd.img-"+running+"\n")
		}, "", "extlinux.conf", Possible, ""},
		"extlinux that boots another label by an include": {func(l *local) {
			l.extlinux()
			l.put("boot/extlinux/extlinux.conf", l.read("boot/extlinux/extlinux.conf")+"include local.conf\n")
			l.put("boot/extlinux/local.conf", "label old\n\tlinux /vmlinuz-6.1.0-55-amd64\ndefault old\n")
		}, "", "extlinux.conf", Possible, "boots 6.1.0-55-amd64 next"},
		"GRUB, in a comment": {func(l *local) {
			l.grub(running)
			l.put("boot/grub/grub.cfg", strings.Replace(l.read("boot/grub/grub.cfg"), "\tinitrd", "\t# initrd", 1))
		}, "GRUB", "GRUB", Proven, "grub.cfg's default entry, \"Debian\", does not name"},
		"GRUB, a longer name": {func(l *local) {
			l.grub(running)
			l.put("boot/grub/grub.cfg", strings.Replace(l.read("boot/grub/grub.cfg"), "initrd.img-"+running, "initrd.img-"+running+".mine", 1))
		}, "GRUB", "GRUB", Proven, "grub.cfg's default entry, \"Debian\", does not name"},
		"extlinux, and a boot.scr":                  {func(l *local) { l.extlinux(); l.put("boot/boot.scr", "") }, "", "extlinux.conf", Possible, ""},
		"extlinux, and an initramfs for U-Boot":     {func(l *local) { l.extlinux(); l.put("boot/uInitrd", "") }, "", "U-Boot", Possible, "carries a header"},
		"flash-kernel, a leftover of GRUB on arm64": {func(l *local) { l.arch = "arm64"; l.grub(running); l.put("boot/boot.scr", "") }, "", "U-Boot", Possible, "boot.scr"},
		"GRUB on UEFI, arm64, a leftover of U-Boot": {func(l *local) {
			l.arch = "arm64"
			l.grub(running)
			l.extlinux()
			l.started(`\EFI\BOOT\BOOTAA64.EFI`)
		}, "", "GRUB", Possible, ""},
		"GRUB alone on arm64 without UEFI": {func(l *local) { l.arch = "arm64"; l.grub(running) }, "", "", 0, "found: grub/grub.cfg"},
		"extlinux, a newer kernel": {func(l *local) {
			l.put("boot/extlinux/extlinux.conf", "default l0\nlabel l0\n\tlinux /boot/vmlinuz-6.1.0-57-amd64\nlabel l1\n\tlinux /boot/vmlinuz-"+running+"\n\tinitrd /boot/initrd.img-"+running+"\n")
		}, "", "extlinux.conf", Possible, "boots 6.1.0-57-amd64 next"},
		"flash-kernel":         {func(l *local) { l.put("boot/boot.scr", "") }, "", "U-Boot", Possible, "boot.scr"},
		"GRUB, a newer kernel": {func(l *local) { l.grub("6.1.0-57-amd64", running) }, "GRUB", "GRUB", Proven, "boots 6.1.0-57-amd64 next"},
		"GRUB, a saved entry": {func(l *local) {
			l.grubMenu("${saved_entry}", "saved_entry=gnulinux-advanced-x>gnulinux-6.1.0-55-amd64-advanced-x")
		}, "GRUB", "GRUB", Proven, "boots 6.1.0-55-amd64 next"},
		"GRUB, a saved entry that is gone": {func(l *local) {
			l.grub(running, "6.1.0-55-amd64")
			l.put("boot/grub/grub.cfg", strings.Replace(l.read("boot/grub/grub.cfg"), `"0"`, `"${saved_entry}"`, 1))
			l.put("boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=gnulinux-advanced-x>gnulinux-6.1.0-55-amd64-advanced-x\n")
		}, "GRUB", "GRUB", Proven, ""},
		"GRUB, the first entry":        {func(l *local) { l.grubMenu("0", "") }, "GRUB", "GRUB", Proven, "boots 6.1.0-57-amd64 next"},
		"GRUB, a number":               {func(l *local) { l.grubMenu("2", "") }, "GRUB", "GRUB", Proven, "boots 6.1.0-55-amd64 next"},
		"GRUB, a number in a submenu":  {func(l *local) { l.grubMenu("1>2", "") }, "GRUB", "GRUB", Proven, "boots 6.1.0-55-amd64 next"},
		"GRUB, ours by a number":       {func(l *local) { l.grubMenu("1>1", "") }, "GRUB", "GRUB", Proven, ""},
		"GRUB, ours by a title":        {func(l *local) { l.grubMenu("Advanced>the kernel that runs", "") }, "GRUB", "GRUB", Proven, ""},
		"GRUB, ours by an id, in full": {func(l *local) { l.grubMenu("gnulinux-advanced-x>gnulinux-"+running+"-advanced-x", "") }, "GRUB", "GRUB", Proven, ""},
		"GRUB, an entry without ours":  {func(l *local) { l.grubMenu("3", "") }, "GRUB", "GRUB", Proven, `grub.cfg's default entry, "by hand", does not name /boot/initrd.img-` + running},
		"GRUB, told for the next boot": {func(l *local) { l.grubMenu("1>1", "next_entry=2") }, "GRUB", "GRUB", Proven, "boots 6.1.0-55-amd64 next"},
		"GRUB, told ours for the next": {func(l *local) { l.grubMenu("0", "next_entry=1>1") }, "GRUB", "GRUB", Proven, ""},
		"GRUB, a number, and a custom.cfg": {func(l *local) {
			l.grub(running, "6.1.0-55-amd64")
			l.put("boot/grub/grub.cfg", strings.Replace(l.read("boot/grub/grub.cfg"), `"0"`, `"1"`, 1))
			l.put("boot/grub/custom.cfg", "set default=0\n")
		}, "GRUB", "GRUB", Proven, ""},
		"nothing": {func(l *local) {}, "", "", 0, "found: none"},
		"a Pi": {func(l *local) {
			l.put("proc/device-tree/compatible", "raspberrypi,4-compute-module\x00brcm,bcm2711\x00")
		}, "", "the Raspberry Pi's firmware", Proven, "initramfs"},
		"unreadable": {func(l *local) { l.put("sys/firmware/efi/efivars/LoaderInfo"+loaderGUID, "\x06") }, "", "", 0, "found: none"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocal(t, "dash")
			l.put("boot/initrd.img-"+running, "x")
			if name != "a Pi" {
				os.RemoveAll(l.root + "/boot/firmware")
			}
			c.make(l)
			f := l.survey(c.mbr)
			found, evidence, err := Of(f)
			if c.loader == "" {
				if err == nil || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v: %v; want %q", found, err, c.text)
				}
				return
			}
			if err != nil || found.Name() != c.loader || evidence != c.evidence {
				t.Fatalf("%v, %d, %v; want %s, %d", found, evidence, err, c.loader, c.evidence)
			}
			b, err := found.Boot(f)
			switch {
			case c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)):
				t.Errorf("%v; want %q", err, c.text)
			case c.text == "" && (err != nil || b.Check() != nil):
				t.Errorf("%v: %v", b, err)
			}
		})
	}
}

// What else config.txt has decides which file its one initramfs line means, and whether it counts.
func TestFirmwareLines(t *testing.T) {
	line := "initramfs initrd.img-" + running + " followkernel\n"
	for config, want := range map[string]string{
		line:                                      "",
		"[pi4]\narm_boost=1\n[all]\n" + line:      "",
		line + "[pi4]\narm_boost=1\n":             "",
		"os_prefix=next/\n" + line:                "config.txt has os_prefix besides",
		line + "include more.txt\n":               "config.txt has include besides",
		"ramfsfile=x\n" + line:                    "config.txt has ramfsfile besides",
		line + line:                               "config.txt has 2 initramfs lines",
		line + "[pi4]\ninitramfs other\n":         "config.txt has 2 initramfs lines",
		"[cm4]\r\narm_boost=1\r\n" + line:         "section [cm4]",
		"kernel=a\n" + line + "kernel=b":          "",
		"[all]\n[none]\n" + line + "[all]\nx=1\n": "section [none]",
	} {
		l := newLocal(t, "dash")
		l.put("boot/firmware/config.txt", config)
		f := l.survey("")
		if got := strings.Join(f["firmware_image"], " "); strings.HasPrefix(config, "kernel=a") && got != "a b" {
			t.Errorf("%q: kernels %q", config, got)
		}
		b, err := raspberryLoader{}.Boot(f)
		said := ""
		if err != nil {
			said = err.Error()
		}
		for _, r := range b.Remarks(f, Use{}) {
			said += r.Text
		}
		if !strings.Contains(said, want) || want == "" && said != "" || strings.Contains(want, "besides") && err == nil {
			t.Errorf("%q: %v, %q; want %q", config, err, said, want)
		}
	}
}

// A pattern of loader.conf that would have the entry of a push be the default is seen in whatever form it stands there.
func TestLoaderDefault(t *testing.T) {
	for text, want := range map[string]string{
		"default debian*\n":                     "debian*",
		"timeout 3\n \tdefault \"ground*\"\r\n": "ground*",
		"default\ta.conf\ndefault *":            "a.conf *",
		"#default *\ndefaults *\n":              "",
	} {
		l := newLocal(t, "dash")
		makeSystemdBoot(t, l)
		l.started(`\EFI\systemd\systemd-bootx64.efi`)
		l.put("boot/efi/loader/loader.conf", text)
		if got := strings.Join(l.survey("")["loader_default"], " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// What a reboot would not do as the boot loader says is noticed.
func TestRebootIsKexec(t *testing.T) {
	l := newLocal(t, "dash")
	if err := RebootIsKexec(l.survey("")); err != nil {
		t.Error(err)
	}
	l.put("etc/default/kexec", "# x\nLOAD_KEXEC=true\n")
	if err := RebootIsKexec(l.survey("")); err != nil {
		t.Errorf("without kexec-tools: %v", err)
	}
	l.put("sbin/kexec", "")
	os.Chmod(l.root+"/sbin/kexec", 0o755)
	if err := RebootIsKexec(l.survey("")); err == nil || !strings.Contains(err.Error(), "LOAD_KEXEC") {
		t.Error(err)
	}
	l.put("etc/default/kexec", "LOAD_KEXEC=\"false\"\n")
	l.put("sys/kernel/kexec_loaded", "1\n")
	if err := RebootIsKexec(l.survey("")); err == nil || !strings.Contains(err.Error(), "is loaded") {
		t.Error(err)
	}
}
