package loader

import (
	"cmp"
	_ "embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"groundhog/cmd/internal/flash/image/entry"
)

var (
	//go:embed replace.sh
	replaceText string
	//go:embed nextentry.sh
	nextEntryText string
)

// replaceWay is that of any loader that reads what Debian's packages put in /boot.
var replaceWay = wayRules{way: Replace, shell: replaceText, dir: "/boot", room: "boot", keeps: true, remarks: fatRemarks,
	names: func(b Boot) bool {
		return bootFile.MatchString(b.File) && !strings.HasPrefix(b.File, "/boot/firmware/") && b.Config == ""
	}}

// grubFile is the archive, and grubDir GRUB's directory.
const (
	grubFile = "/boot/groundhog.img"
	grubDir  = "/boot/grub"
)

var nextEntryWay = wayRules{way: NextEntry, shell: nextEntryText, once: true, dir: "/boot", room: "boot",
	names: func(b Boot) bool { return b.File == grubFile && b.Config == grubDir }}

// grubLoader is GRUB 2, on BIOS and UEFI machines: grub.cfg names the files in /boot.
type grubLoader struct{}

func (grubLoader) Name() string { return "GRUB" }

func (grubLoader) Evidence(f Facts) Evidence {
	p := firmwareProgram(f)
	switch {
	case !slices.Contains(f["loader"], "grub/grub.cfg"), f.Get("arch") == "arm64" && f.Get("efi") == "": // there GRUB is a program of UEFI, and nothing else
		return Absent
	case strings.HasPrefix(loaderInfo(f), "grub"), f.Get("mbr") == "grub" && f.Get("efi") == "":
		return Proven
	case loaderInfo(f) != "" || f.Get("stub_info") != "":
		return Absent
	case strings.HasPrefix(p, "grub"), strings.HasPrefix(p, "shim"):
		return Proven
	}
	return Possible
}

func (grubLoader) Boot(f Facts) (Boot, error) {
	b, err := bootFiles(f)
	if err != nil {
		return b, err
	}
	next, err := entry.NextOfGRUB(strings.Join(f["grub_cfg"], "\n"), strings.Join(f["grub_env"], "\n"))
	if err == nil {
		return b, checkGRUBNext(f, b.File, next)
	}
	// It hangs on something, or there is a custom.cfg: what can be told by names alone.
	if !slices.Contains(f["named"], "grub") {
		return Boot{}, refuseWithHint("update-grub", "grub.cfg does not name %s", b.File)
	}
	if d := f.Get("grub_default"); d != "" && !strings.HasPrefix(d, "gnulinux-simple-") { // that is the first entry's name
		return b, namedAfterThisKernel(f, d)
	}
	return b, checkNextKernel(f, "grub_next", "GRUB's first menu entry")
}

// checkGRUBNext refuses a device whose GRUB boots next another kernel than the one that runs, or not with the initramfs that is replaced.
func checkGRUBNext(f Facts, file string, next entry.GRUBNext) error {
	what := fmt.Sprintf("grub.cfg's default entry, %.80q,", next.Title)
	if _, release, ok := strings.Cut(path.Base(next.Kernel), "vmlinuz-"); ok {
		if err := checkNextKernel(Facts{"kernel": f["kernel"], "next": {release}}, "next", what); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(next.Initrds, func(name string) bool { return path.Base(name) == path.Base(file) }) {
		return refuseWithHint("update-grub", "%s does not name %s", what, file)
	}
	return nil
}

// Once is GRUB's next_entry, with an entry in custom.cfg. GRUB has to take next_entry back by writing into the blocks of the file
// grubenv: if it cannot, it boots the archive again and again until the system puts things right. So where GRUB cannot write, a
// UEFI firmware's one-shot is taken.
func (grubLoader) Once(f Facts) (Boot, error) {
	plain := func(on string) bool { return on == "disk" || on == "part" }
	fs := f.Get("grub_type")
	knows := slices.Contains([]string{"ext2", "ext3", "ext4", "vfat"}, fs)
	writes := knows && len(f["grub_on"]) > 0 && !slices.ContainsFunc(f["grub_on"], func(on string) bool { return !plain(on) })
	if b, err := bootNext(f); !writes && err == nil {
		return b, nil
	}
	switch {
	case !knows:
		return Boot{}, refuseWithHint("", "one-shot: /boot/grub is on %s, where GRUB does not write", cmp.Or(fs, "a filesystem that is not known"))
	case !writes:
		return Boot{}, refuseWithHint("", "one-shot: /boot/grub is on %s, where GRUB does not write: it has to be a plain partition", cmp.Or(strings.Join(f["grub_on"], ", "), "nothing known"))
	case f.Get("grub_once") == "":
		return Boot{}, refuseWithHint("update-grub makes a new one", "one-shot: grub.cfg takes no next_entry, or reads no custom.cfg")
	case f.Get("grub_editenv") == "":
		return Boot{}, refuseWithHint("", "one-shot: it has no grub-editenv")
	case f.Get("grub_entry") == "":
		return Boot{}, refuseWithHint("update-grub makes a new one", "one-shot: grub.cfg has no entry for kernel %s and its initramfs", f.Get("kernel"))
	case f.Get("grub_custom") != "":
		return Boot{}, refuseWithHint("", "one-shot: there is a custom.cfg in /boot/grub, which stays as it is")
	case f.Get("grub_told") != "" && f.Get("grub_told") != "groundhog":
		return Boot{}, refuseWithHint("grub-editenv - unset next_entry", "one-shot: GRUB is told already to boot %s next", f.Get("grub_told"))
	case f.Get("secure_boot") == "1":
		return Boot{}, refuseWithHint("", "one-shot: under Secure Boot it was never tried")
	}
	return Boot{Way: NextEntry, File: grubFile, Config: grubDir, Kernel: "/boot/vmlinuz-" + f.Get("kernel")}, nil
}

// kernelRelease is a kernel's release in the name of a menu entry, as Debian writes it.
var kernelRelease = regexp.MustCompile(`[0-9]+\.[0-9]+(\.[0-9]+)*[-+~.a-z0-9]*`)

// namedAfterThisKernel refuses a default entry whose name has another kernel's release than that of the running one. A name without a
// release, or a number, says nothing and is let pass.
func namedAfterThisKernel(f Facts, name string) error {
	if strings.Contains(name, f.Get("kernel")) || !kernelRelease.MatchString(name) {
		return nil
	}
	return checkNextKernel(Facts{"kernel": f["kernel"], "entry": {name}}, "entry", "GRUB's default entry")
}

// bootFiles is the way in where a loader reads what Debian's packages put in /boot.
func bootFiles(f Facts) (Boot, error) {
	file := f.Get("initrd")
	switch {
	case f.Get("initrd_odd") != "":
		return Boot{}, refuseWithHint("", "its initramfs is no plain file: %s", f.Get("initrd_odd"))
	case file == "":
		return Boot{}, refuseWithHint("", "it has no /boot/initrd.img-%s", f.Get("kernel"))
	case f.Get("initrd_magic") == "27051956":
		return uBootImage{}.Boot(f)
	}
	b := Boot{Way: Replace, File: file}
	return b, b.Check()
}

// fatRemarks: see replace in common.sh.
func fatRemarks(f Facts, _ Use) []Remark {
	if f.Get("boot_type") != "msdos" { // what stat -f calls FAT
		return nil
	}
	return []Remark{{ID: "links", Text: "/boot is FAT, which has no hard links: the old initramfs is held open until the new one is durable", Hint: "keep its power on until the push is done"}}
}

// checkNextKernel refuses a device whose running kernel is not the one that boots next: what is pushed for it would never be
// booted. Where the facts do not say which one boots next, nothing is refused.
func checkNextKernel(f Facts, key, what string) error {
	if n := f.Get(key); n != "" && n != f.Get("kernel") {
		return refuseWithHint("reboot it, and patch the initramfs of that kernel", "it runs kernel %s, and %s boots %s next", f.Get("kernel"), what, n)
	}
	return nil
}
