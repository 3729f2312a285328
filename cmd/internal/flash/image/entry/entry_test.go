package entry

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// tree is a filesystem that is a map.
type tree map[string]string

func (t tree) ReadFile(_ context.Context, name string, most int64) ([]byte, error) {
	b, ok := t[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	if int64(len(b)) > most {
		return nil, noEntry("too large")
	}
	return []byte(b), nil
}

func (t tree) List(_ context.Context, dir string) (names []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	if names == nil {
		return nil, fs.ErrNotExist
	}
	return names, nil
}

const (
	rootUUID = "6d0a0b0c-0002-4000-8000-0000000000f5"
	bootUUID = "6d0a0b0c-0003-4000-8000-0000000000f5"
)

func ext(n int, uuid string, files tree) Filesystem {
	return Filesystem{N: n, Kind: "ext", UUID: uuid, Label: "root", Files: files}
}

func vfat(files tree) Filesystem {
	return Filesystem{N: 1, Kind: "vfat", UUID: "6D0A-F00D", Files: files}
}

// debianGRUB is what grub-mkconfig writes on Debian, in our own words: what sets the default, what comes before the entries, and the entries.
const debianGRUB = `# made by a tool: do not edit
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="DEFAULT"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option
if [ "${prev_saved_entry}" ]; then
  set saved_entry="${prev_saved_entry}"
  save_env saved_entry
fi
function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
    save_env saved_entry
  fi
}
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    insmod efi_gop; insmod vga
  fi
}
if [ x$feature_default_font_path = xy ] ; then
   font=unicode
else
insmod part_gpt
search --no-floppy --fs-uuid --set=root 00000000-0000-0000-0000-000000000000
    font="/usr/share/grub/unicode.pf2"
fi
if loadfont $font ; then
  set gfxmode=auto
fi
terminal_output gfxterm
if [ "${recordfail}" = 1 ] ; then
  set timeout=30
else
  if [ x$feature_timeout_style = xy ] ; then
    set timeout_style=menu
    set timeout=5
  else
    set timeout=5
  fi
fi
set menu_color_normal=cyan/blue
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-ROOT' {
	load_video
	insmod gzio
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	insmod part_gpt
	insmod ext2
	search --no-floppy --fs-uuid --set=root ROOT
	echo	'Loading Linux 6.1.0-57-amd64 ...'
	linux	/boot/vmlinuz-6.1.0-57-amd64 root=UUID=ROOT ro  quiet net.ifnames=0
	echo	'Loading initial ramdisk ...'
	initrd	/boot/initrd.img-6.1.0-57-amd64
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-ROOT' {
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-57-amd64' --class gnu-linux $menuentry_id_option 'gnulinux-6.1.0-57-amd64-advanced-ROOT' {
		set root='hd0,gpt2'
		if [ x$feature_platform_search_hint = xy ]; then
		  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 --hint-efi=hd0,gpt2 ROOT
		else
		  search --no-floppy --fs-uuid --set=root ROOT
		fi
		linux	/boot/vmlinuz-6.1.0-57-amd64 root=UUID=ROOT ro
		initrd	/boot/early.img /boot/initrd.img-6.1.0-57-amd64
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-50-amd64' --class gnu-linux $menuentry_id_option 'gnulinux-6.1.0-50-amd64-advanced-ROOT' {
		search --no-floppy --fs-uuid --set=root ROOT
		linux	/boot/vmlinuz-6.1.0-50-amd64 root=UUID=ROOT ro "dyndbg=file a.c +p" \
			single
	}
}
if [ "$grub_platform" = "efi" ]; then
	fwsetup --is-supported
	if [ "$?" = 0 ]; then
		menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
			fwsetup
		}
	fi
fi
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`

func grubConfig(def string) string {
	return strings.NewReplacer("DEFAULT", def, "ROOT", rootUUID).Replace(debianGRUB)
}

// debian is the files of a Debian with GRUB.
func debian(def, env string) tree {
	return tree{"/boot/grub/grub.cfg": grubConfig(def), "/boot/grub/grubenv": "# GRUB Environment Block\n" + env + "\n#####", "/boot/early.img": "early!",
		"/boot/vmlinuz-6.1.0-57-amd64": "kernel 57", "/boot/initrd.img-6.1.0-57-amd64": "initramfs 57", "/boot/vmlinuz-6.1.0-50-amd64": "kernel 50"}
}

// started is what is found and read, in one line.
func started(t *testing.T, all ...Filesystem) (string, error) {
	t.Helper()
	e, err := Find(t.Context(), all)
	if err != nil {
		return "", err
	}
	kernel, initrd, err := e.Read(t.Context())
	if err != nil {
		return "", err
	}
	return strings.Join([]string{e.Loader, e.Kind, string(kernel), string(initrd), e.Line}, " | "), nil
}

func TestGRUB(t *testing.T) {
	const newest = "GRUB | grub.cfg on ext | kernel 57 | initramfs 57 | BOOT_IMAGE=/boot/vmlinuz-6.1.0-57-amd64 root=UUID=" + rootUUID + " ro quiet net.ifnames=0"
	const advanced = "GRUB | grub.cfg on ext | kernel 57 | early!\x00\x00initramfs 57 | BOOT_IMAGE=/boot/vmlinuz-6.1.0-57-amd64 root=UUID=" + rootUUID + " ro"
	const older = "GRUB | grub.cfg on ext | kernel 50 |  | BOOT_IMAGE=/boot/vmlinuz-6.1.0-50-amd64 root=UUID=" + rootUUID + ` ro "dyndbg=file a.c +p" single`
	for name, c := range map[string]struct{ def, env, want string }{
		"the first":           {"0", "", newest},
		"by its title":        {"Debian GNU/Linux", "", newest},
		"by its id":           {"gnulinux-simple-" + rootUUID, "", newest},
		"not there":           {"gone", "", newest},
		"saved":               {"${saved_entry}", "saved_entry=1>1", older},
		"saved nothing":       {"${saved_entry}", "", newest},
		"in a menu":           {"1>0", "", advanced},
		"in a menu, by id":    {"gnulinux-advanced-" + rootUUID + ">gnulinux-6.1.0-50-amd64-advanced-" + rootUUID, "", older},
		"in a menu, by title": {"Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-50-amd64", "", older},
	} {
		got, err := started(t, vfat(tree{"/EFI/debian/grub.cfg": "configfile x"}), ext(2, rootUUID, debian(c.def, c.env)))
		if got != c.want || err != nil {
			t.Errorf("%s: %v\n got %q\nwant %q", name, err, got, c.want)
		}
	}
	// /boot on its own: its paths begin there, and grub.cfg is beside them.
	boot := strings.NewReplacer("/boot/", "/", "set=root "+rootUUID, "set=root "+bootUUID, "'hd0,gpt2'", "'hd0,gpt3'").Replace(grubConfig("0"))
	got, err := started(t, ext(2, rootUUID, tree{"/etc/fstab": "x"}), ext(3, bootUUID, tree{"/grub/grub.cfg": boot, "/vmlinuz-6.1.0-57-amd64": "kernel 57", "/initrd.img-6.1.0-57-amd64": "initramfs 57"}))
	if want := strings.Replace(newest, "/boot/", "/", 1); got != want || err != nil {
		t.Errorf("/boot on its own: %v\n got %q\nwant %q", err, got, want)
	}
}

// What a machine's GRUB starts next, by the same texts.
func TestNextOfGRUB(t *testing.T) {
	const newest, older = "/boot/vmlinuz-6.1.0-57-amd64 /boot/initrd.img-6.1.0-57-amd64", "/boot/vmlinuz-6.1.0-50-amd64"
	const advanced = "/boot/vmlinuz-6.1.0-57-amd64 /boot/early.img /boot/initrd.img-6.1.0-57-amd64"
	for _, c := range []struct{ config, env, want string }{
		{grubConfig("0"), "", newest},
		{grubConfig("1>1"), "", older},
		{grubConfig("1>0"), "", advanced},
		{grubConfig("gone"), "", newest},
		{grubConfig("${saved_entry}"), "saved_entry=1>1", older},
		{grubConfig("0"), "next_entry=1>1\nsaved_entry=0", older},
		{grubConfig("1>1"), "next_entry=", older},
		{"set default=1\nmenuentry a { linux /a\n}\nmenuentry b { linux ($root)/b x; initrd ($root)/c /d\n}", "", "/b /c /d"},
		{"set default=0\nmenuentry a { linux /a\n}", "next_entry=1", "does not take it"},
		{grubConfig("0"), "prev_saved_entry=1", "prev_saved_entry"},
		{grubConfig("1"), "", "default is a menu"},
		{grubConfig("9"), "", "and it has 3"},
		{"menuentry a { linux /a\n}\nset default=$x", "", "of a variable"},
		{"menuentry a { if true; then linux /a; fi\n}", "", "hangs on a condition"},
		{"menuentry a { linux /a; linux /b\n}", "", "hangs on a condition"},
		{"menuentry a { linux $k\n}", "", "has no kernel"},
		{"menuentry a { chainloader /x\n}", "", "chainloader"},
		{"set default='6.1 or so'\nmenuentry a { linux /a\n}", "", "begins with a number"},
		{"", "", "no entries"},
		{"menuentry a {", "", "ends before"},
	} {
		next, err := NextOfGRUB(c.config, c.env)
		got := strings.Join(append([]string{next.Kernel}, next.Initrds...), " ")
		if err == nil && got != c.want || err != nil && (!errors.Is(err, ErrNone) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.60q, %q: %q, %v; want %q", c.config, c.env, got, err, c.want)
		}
	}
}

// minimal is grub.cfg with one entry.
func minimal(body string) tree {
	return tree{"/boot/grub/grub.cfg": "menuentry x {\n" + body + "\n}\n", "/k": "kernel", "/i": "initramfs"}
}

func TestGRUBForms(t *testing.T) {
	for body, want := range map[string]string{
		"linux /k a=b\ninitrd /i":                                         "kernel | initramfs | BOOT_IMAGE=/k a=b",
		"linux ($root)/k; initrd (${root})/i":                             "kernel | initramfs | BOOT_IMAGE=/k",
		"linuxefi /k ro initrd=/x\ninitrdefi /i":                          "kernel | initramfs | BOOT_IMAGE=/k ro",
		"search.fs_uuid " + rootUUID + " root hd0,gpt1\nlinux /k":         "kernel |  | BOOT_IMAGE=/k",
		"search --label root --set=root\nlinux /k # a comment\n":          "kernel |  | BOOT_IMAGE=/k",
		"set root=(hd0,msdos1)\nlinux /k 'a b' c'd'e\n":                   `kernel |  | BOOT_IMAGE=/k "a b" cde`,
		"root=hd0,1\nlinux /k \"a=\\\"b\\\"\" \n":                         "has \"a=\\\"b\\\"\" in the kernel's command line",
		"linux /k $extra":                                                 "a variable in the kernel's command line",
		"linux /k ''":                                                     "an empty word",
		"linux /$k":                                                       "names the file",
		"linux k":                                                         "names the file",
		"linux (hd1,gpt1)/k":                                              "names the file",
		"linux '/k /etc/shadow'":                                          "names the file",
		"linux '/k\"'":                                                    "names the file",
		"linux /k\ninitrd '/i;x'":                                         "names the file",
		"linux /../../none":                                               "/none, which is not in partition 1",
		"linux /k\ninitrd /gone":                                          "/gone, which is not in partition 1",
		"echo x":                                                          "has no kernel",
		"linux /k\nlinux /k":                                              "has not one kernel",
		"if [ a ]; then linux /k; fi":                                     "has not one kernel",
		"linux /k\nif [ a ]; then initrd /i; fi":                          "has not one list",
		"initrd /i\nlinux /k":                                             "has not one list",
		"chainloader +1":                                                  `has "chainloader"`,
		"linux /k\ndevicetree /x.dtb":                                     `has "devicetree"`,
		"search --set=root --file /k\nlinux /k":                           "cannot be read here",
		"search --set=root --fs-uuid " + bootUUID + "\nlinux /k":          "cannot be read here",
		"set root='lvmid/x'\nlinux /k":                                    "cannot be read here",
		"if [ a ]; then set root=hd0,1; else set root=x; fi\nlinux /k":    "hangs on a condition",
		"linux /k " + strings.Repeat("x", 3000):                           "more than 2047 bytes",
		strings.Repeat("menuentry x {\n", 20) + strings.Repeat("}\n", 20): "braces in each other",
		"linux /k 'x":                                                     "ends in a quotation",
		"linux /k\n}\n}":                                                  "a brace that opens nothing",
		"linux /k {":                                                      "ends before an entry",
		"linux /k \x00root\x00":                                           "no text",
	} {
		got, err := started(t, ext(1, rootUUID, minimal(body)))
		if err == nil {
			if got != "GRUB | grub.cfg on ext | "+want {
				t.Errorf("%q: %q, want %q", body, got, want)
			}
			continue
		}
		if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want %q", body, got, err, want)
		}
	}
}

// Where a default hangs on something, nothing is guessed.
func TestGRUBRefuses(t *testing.T) {
	entry := "menuentry a {\nlinux /k\n}\n"
	for config, want := range map[string]string{
		"set default=1\n" + entry:  "entry \"1\", and it has 1",
		"set default=$x\n" + entry: "makes its default of a variable",
		"if [ a ]; then set default=0; else set default=a; fi\n" + entry: "hangs on a condition",
		"if [ a ]; then\n" + entry + "fi\n":                              "hangs on a condition",
		"submenu m {\n" + entry + "}\n":                                  "default is a menu",
		"set default='0>0'\nsubmenu m {\n}\n":                            "in an empty menu",
		"set default='a>>b'\n" + entry:                                   "a > in its name",
		"set timeout=1\n":                                                "has no entries",
	} {
		_, err := started(t, ext(1, rootUUID, tree{"/boot/grub/grub.cfg": config, "/k": "kernel"}))
		if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", config, err, want)
		}
	}
	for name, c := range map[string]struct {
		file, content, want string
	}{
		"told":  {"/boot/grub/grubenv", "next_entry=1\n", "has a next_entry"},
		"other": {"/boot/grub/custom.cfg", "set default=1\n", "custom.cfg beside it"},
	} {
		files := minimal("linux /k")
		files[c.file] = c.content
		if _, err := started(t, ext(1, rootUUID, files)); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const machine = "title Debian GNU/Linux\nversion VERSION\nmachine-id 6d0a0b0c00034000800000000000d1ce\nsort-key debian\n" +
	"options root=UUID=" + rootUUID + " ro\noptions quiet\nlinux /m/VERSION/linux\ninitrd /m/VERSION/microcode\ninitrd \\m\\VERSION\\initrd.img\n"

// esp is a system partition with an entry for each version, as kernel-install writes them.
func esp(versions ...string) tree {
	files := tree{"/loader/loader.conf": "# x\ntimeout 3\n"}
	for _, v := range versions {
		files["/loader/entries/m-"+v+".conf"] = strings.ReplaceAll(machine, "VERSION", v)
		files["/m/"+v+"/linux"], files["/m/"+v+"/microcode"], files["/m/"+v+"/initrd.img"] = "kernel "+v, "mic", "initramfs "+v
	}
	return files
}

func TestSystemdBoot(t *testing.T) {
	want := func(v string) string {
		return "systemd-boot | entry in a file | kernel " + v + " | mic\x00initramfs " + v + " | root=UUID=" + rootUUID + " ro quiet"
	}
	for name, c := range map[string]struct {
		versions []string
		more     tree
		want     string
	}{
		"newest":            {[]string{"6.1.0-9-amd64", "6.1.0-57-amd64", "6.1.0-10-amd64"}, nil, "6.1.0-57-amd64"},
		"the default":       {[]string{"6.1.0-9-amd64", "6.1.0-57-amd64"}, tree{"/loader/loader.conf": "default M-6.1.0-9-*\n"}, "6.1.0-9-amd64"},
		"of no such name":   {[]string{"6.1.0-9-amd64", "6.1.0-57-amd64"}, tree{"/loader/loader.conf": "default gone*\n"}, "6.1.0-57-amd64"},
		"without a key":     {[]string{"6.1.0-9-amd64"}, tree{"/loader/entries/z-99.conf": "linux /m/6.1.0-9-amd64/linux\n"}, "6.1.0-9-amd64"},
		"another machine":   {[]string{"6.1.0-9-amd64"}, tree{"/loader/entries/a-99.conf": "linux /m/6.1.0-9-amd64/linux\narchitecture aa64\nsort-key a\n"}, "6.1.0-9-amd64"},
		"its kernel gone":   {[]string{"6.1.0-9-amd64"}, tree{"/loader/entries/a-99.conf": "linux /gone\nsort-key a\n"}, "6.1.0-9-amd64"},
		"out of tries":      {[]string{"6.1.0-9-amd64"}, tree{"/loader/entries/a-99+0-3.conf": "linux /m/6.1.0-9-amd64/linux\nsort-key a\n"}, "6.1.0-9-amd64"},
		"a shell of UEFI's": {[]string{"6.1.0-9-amd64"}, tree{"/loader/entries/z.conf": "efi /shell.efi\n"}, "6.1.0-9-amd64"},
	} {
		files := esp(c.versions...)
		maps.Copy(files, c.more)
		got, err := started(t, vfat(files), ext(2, rootUUID, tree{"/etc/fstab": "x"}))
		if got != want(c.want) || err != nil {
			t.Errorf("%s: %v\n got %q\nwant %q", name, err, got, want(c.want))
		}
	}
	for name, c := range map[string]struct {
		more tree
		want string
	}{
		"what was chosen last": {tree{"/loader/loader.conf": "default @saved"}, "which its firmware knows"},
		"tries that count":     {tree{"/loader/entries/a-99+3.conf": "linux /m/6.1.0-9-amd64/linux\nsort-key a\n"}, "counts the tries"},
		"a program":            {tree{"/loader/entries/a.conf": "efi /shell.efi\nsort-key a\n"}, "is no kernel"},
		"a device tree":        {tree{"/loader/entries/a.conf": "linux /m/6.1.0-9-amd64/linux\nsort-key a\ndevicetree x\n"}, "it has devicetree"},
		"a file out of it":     {tree{"/loader/entries/a.conf": "linux /m/6.1.0-9-amd64/linux\nsort-key a\ninitrd /a b\n"}, "names the file"},
		"two loaders":          {tree{"/boot/grub/grub.cfg": "x"}, "which of them the firmware takes"},
	} {
		files := esp("6.1.0-9-amd64")
		maps.Copy(files, c.more)
		if _, err := started(t, vfat(files)); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A grub.cfg that was left behind counts nothing where the file that a UEFI firmware falls back to is systemd-boot.
	files := esp("6.1.0-9-amd64")
	files["/EFI/BOOT/BOOTX64.EFI"] = "MZ...#### LoaderInfo: systemd-boot 252 ####..."
	if got, err := started(t, vfat(files), ext(2, rootUUID, debian("0", ""))); got != want("6.1.0-9-amd64") || err != nil {
		t.Errorf("a grub.cfg left behind: %q, %v", got, err)
	}
}

// portable is a PE32+ file with such sections (Microsoft, "PE Format"), each padded to 512 bytes.
func portable(sections ...string) string {
	var b bytes.Buffer
	le := func(v ...any) {
		for _, v := range v {
			binary.Write(&b, binary.LittleEndian, v)
		}
	}
	b.WriteString("MZ" + strings.Repeat("\x00", 0x3a))
	le(uint32(0x40))
	b.WriteString("PE\x00\x00")
	n := len(sections) / 2
	le(uint16(0x8664), uint16(n), uint32(0), uint32(0), uint32(0), uint16(240), uint16(0x22))
	le(uint16(0x20b))
	b.Write(make([]byte, 106))
	le(uint32(16))
	b.Write(make([]byte, 128))
	at := (b.Len() + 40*n + 511) / 512 * 512
	var data []byte
	for i := 0; i < len(sections); i += 2 {
		name, content := sections[i], sections[i+1]
		padded := append([]byte(content), make([]byte, (512-len(content)%512)%512)...)
		b.WriteString(name + strings.Repeat("\x00", 8-len(name)))
		le(uint32(len(content)), uint32(0), uint32(len(padded)), uint32(at+len(data)), uint32(0), uint32(0), uint16(0), uint16(0), uint32(0))
		data = append(data, padded...)
	}
	b.Write(make([]byte, at-b.Len()))
	b.Write(data)
	return b.String()
}

func TestUnified(t *testing.T) {
	release := func(v string) string { return "ID=debian\nPRETTY_NAME=\"Debian\"\nVERSION_ID=" + v + "\n" }
	image := portable(".osrel", release("13"), ".cmdline", "root=/dev/vda2 ro\x00", ".ucode", "mic", ".linux", "kernel", ".initrd", "initramfs")
	older := portable(".osrel", release("12"), ".cmdline", "old", ".linux", "old kernel", ".initrd", "old")
	files := tree{"/EFI/Linux/a.efi": older, "/EFI/Linux/b.efi": image, "/EFI/Linux/broken.efi": image[:len(image)/2], "/EFI/Linux/other.efi": portable(".text", "x")}
	const want = "systemd-boot | unified image | kernel | mic\x00initramfs | root=/dev/vda2 ro"
	if got, err := started(t, vfat(files)); got != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for name, bad := range map[string]string{"a profile": portable(".linux", "k", ".profile", "x"), "a device tree": portable(".linux", "k", ".dtb", "x"), "two kernels": portable(".linux", "k", ".linux", "x")} {
		if _, err := started(t, vfat(tree{"/EFI/Linux/a.efi": bad})); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range len(image) { // cut anywhere, or with another byte: never more than it has
		parseUnified([]byte(image[:n]))
		changed := []byte(image)
		changed[n] ^= 0xff
		if u, err := parseUnified(changed); err == nil && len(u.kernel)+len(u.initrd) > 2*len(image)+4 {
			t.Errorf("byte %d changed: %d bytes", n, len(u.kernel)+len(u.initrd))
		}
	}
}

// What is looked into of entries has a bound, whatever they say to have: what each says is in memory until one is chosen.
func TestEntriesAreBounded(t *testing.T) {
	related := []byte(portable(slices.Repeat([]string{".linux", "k"}, 60000)...)) // each with the same 65,535 relocations
	for at := 0x40 + 24 + 240; at+40 < len(related) && string(related[at:at+6]) == ".linux"; at += 40 {
		binary.LittleEndian.PutUint32(related[at+24:], 0)
		binary.LittleEndian.PutUint16(related[at+32:], 0xffff)
	}
	many := func(dir, suffix, content string) tree {
		all := tree{}
		for n := range maxEntries {
			all[fmt.Sprint(dir, n, suffix)] = content
		}
		return all
	}
	for what, files := range map[string]tree{
		"relocations":              {"/EFI/Linux/a.efi": string(related)},
		"texts":                    many("/loader/entries/", ".conf", strings.Repeat("initrd\n", 9000)),
		"long texts":               many("/loader/entries/", ".conf", strings.Repeat("options x\n", 100000)),
		"command lines":            many("/EFI/Linux/", ".efi", portable(".linux", "k", ".cmdline", strings.Repeat("x", 1<<20))),
		"what the system is named": many("/EFI/Linux/", ".efi", portable(".linux", "k", ".osrel", "ID="+strings.Repeat("x", 1<<20))),
		"unified images":           many("/EFI/Linux/", ".efi", portable(".linux", strings.Repeat("k", 2<<20))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		// A kernel that is too large is copied by the tree, once each: that is not counted.
		_, err := Find(t.Context(), []Filesystem{{N: 1, Kind: "vfat", Files: uncounted{files, &before}}})
		runtime.ReadMemStats(&after)
		if err == nil || !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", what, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 96<<20 {
			t.Errorf("%s: %d MiB were asked for", what, n>>20)
		}
	}
}

// uncounted is a tree whose copies of what is read are not among what was allocated.
type uncounted struct {
	tree
	m *runtime.MemStats
}

func (u uncounted) ReadFile(ctx context.Context, name string, most int64) ([]byte, error) {
	b, err := u.tree.ReadFile(ctx, name, most)
	u.m.TotalAlloc += uint64(len(b))
	return b, err
}

func TestExtlinux(t *testing.T) {
	const config = "## comment\ndefault l0\nmenu title x\nprompt 0\ntimeout 50\n\nlabel l0\n\tmenu label Debian\n\tlinux /boot/k\n\tinitrd /boot/i,e\n\tappend root=/dev/vda1 ro\n\nlabel l0r\n\tlinux /boot/k\n"
	files := func(config string) tree {
		return tree{"/boot/extlinux/extlinux.conf": config, "/boot/k": "kernel", "/boot/i": "init", "/boot/extlinux/e": "more", "/boot/extlinux/r": "rel"}
	}
	for config, want := range map[string]string{
		config: "kernel | initmore | root=/dev/vda1 ro",
		"LABEL a\nKERNEL r\nAPPEND initrd=../i x=y\n":                                      "rel | init | x=y",
		"append all\nlabel a\nlinux r\nlabel b\nlinux /boot/k\nappend own\nmenu default\n": "kernel |  | own",
		"append all\nlabel a\nlinux r\n":                                                   "rel |  | all",
		"default gone\nlabel a\nlinux r\n":                                                 "no entry \"gone\"",
		"include other.cfg\nlabel a\nlinux r\n":                                            `has "include"`,
		"label a\nlinux r\nfdtdir /dtb\n":                                                  "fdtdir",
		"label a\nlocalboot 1\n":                                                           "has no kernel alone",
		"label a\nlinux /gone\n":                                                           "/gone, which is not in",
		"label a\nlinux /a|b\n":                                                            "names the file",
		strings.Repeat("label a\n", 2000):                                                  "more than 1000 entries",
	} {
		got, err := started(t, ext(1, rootUUID, files(config)))
		if err == nil {
			if got != "extlinux | extlinux.conf on ext | "+want {
				t.Errorf("%q: %q, want %q", config, got, want)
			}
			continue
		}
		if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", config, err, want)
		}
	}
}

func TestFindRefuses(t *testing.T) {
	for want, all := range map[string][]Filesystem{
		"neither grub.cfg":                 {ext(1, rootUUID, tree{"/etc/fstab": "x"})},
		"a Raspberry Pi's":                 {vfat(tree{"/config.txt": "auto_initramfs=1\n", "/cmdline.txt": "x"}), ext(2, rootUUID, debian("0", ""))},
		"grub.cfg on partition 1 and grub": {ext(1, rootUUID, debian("0", "")), ext(2, bootUUID, debian("0", ""))},
	} {
		if _, err := started(t, all...); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// In the order of the specification's own examples.
func TestCompareVersions(t *testing.T) {
	for _, line := range []string{
		"~1 -1 1", "11~beta 11 11-1 11^1 11.1", "122.1 123~rc1-1 123 123-a 123-a.1 123-1 123-1.1 123^post1 123.a-1 123.1-1 123a-1 124-1",
		"6.1.0-9-amd64 6.1.0-10-amd64 6.1.0-57-amd64 6.12.1-amd64", "a 1", "1 1_a", "0 1", "7 0010",
	} {
		words := strings.Fields(line)
		for i, a := range words {
			for j, b := range words {
				if got, want := compareVersions(a, b), falseFirst(i > j, j > i); got != want {
					t.Errorf("%s, %s: %d, want %d", a, b, got, want)
				}
			}
		}
	}
	for _, same := range [][2]string{{"1_2", "1+2"}, {"007", "7"}, {"", "_"}} {
		if got := compareVersions(same[0], same[1]); got != 0 {
			t.Errorf("%q: %d", same, got)
		}
	}
}

// Whatever a grub.cfg says, what is found is a file's clean name, and nothing falls over.
func FuzzGRUB(f *testing.F) {
	f.Add(grubConfig("0"), "saved_entry=1>1\n")
	f.Add("set default=${saved_entry}\nmenuentry 'a' { linux /k 'b c'\n initrd /i\n}", "")
	f.Fuzz(func(t *testing.T, config, env string) {
		e, err := grubEntry([]Filesystem{ext(1, rootUUID, nil)}, ext(1, rootUUID, nil), config, env)
		if err != nil {
			if !errors.Is(err, ErrNone) {
				t.Error(err)
			}
			return
		}
		for _, name := range append(e.initrds, e.kernel) {
			if again, err := Clean(name); err != nil || again != name || !path.IsAbs(name) {
				t.Errorf("%q: %v", name, err)
			}
		}
		if strings.ContainsAny(e.Line, "\x00\n\t") {
			t.Errorf("%q", e.Line)
		}
	})
}

// What systemd-boot, extlinux and a unified image say leads to files in the image, by clean names, or to an error that says why not.
func FuzzEntries(f *testing.F) {
	f.Add("default b*\n", "title a\nlinux \\k\ninitrd /i\noptions root=x initrd=y\n", "label a\nkernel ../k\nappend initrd=i,j ro\n", "/loader/entries/a+1-2.conf")
	f.Add("", portable(".osrel", "ID=debian\n", ".cmdline", "root=/dev/vda2 ro\x00", ".ucode", "mic", ".linux", "kernel", ".initrd", "initramfs"), "", "/EFI/Linux/a.efi")
	f.Add("", "linux /k\n", "", "/EFI/Linux//a.efi") // a name that is listed and leads to nothing
	f.Fuzz(func(t *testing.T, conf, item, config, name string) {
		const kernel, initrd = "the kernel", "the initramfs"
		files := tree{"/loader/loader.conf": conf, name: item, "/k": kernel, "/i": initrd}
		for _, all := range [][]Filesystem{{vfat(files)}, {ext(1, rootUUID, tree{"/extlinux/extlinux.conf": config, "/k": kernel, "/extlinux/i": initrd})}} {
			e, err := Find(t.Context(), all)
			if err != nil {
				if !errors.Is(err, ErrNone) {
					t.Error(err)
				}
				continue
			}
			for _, name := range append(e.initrds, e.kernel) {
				if again, err := Clean(name); err != nil || again != name || !path.IsAbs(name) {
					t.Errorf("%q: %v", name, err)
				}
			}
			if strings.ContainsAny(e.Line, "\n\t") || len(e.Line) > maxLine || slices.ContainsFunc(strings.Fields(e.Line), func(w string) bool { return strings.HasPrefix(w, "initrd=") }) {
				t.Errorf("%q", e.Line)
			}
			k, i, err := e.Read(t.Context())
			if err != nil && !errors.Is(err, ErrNone) {
				t.Error(err)
			}
			if err == nil && (len(k) == 0 || int64(len(i)) > maxInitrd || !e.unified && string(k) != kernel && e.kernel == "/k") {
				t.Errorf("%d bytes of a kernel, %d of an initramfs", len(k), len(i))
			}
		}
	})
}
