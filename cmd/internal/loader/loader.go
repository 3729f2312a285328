package loader

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Way is how a device gets to boot an archive.
type Way string

const (
	Replace Way = "replace" // the initramfs' file
	Name    Way = "name"    // what config.txt names
	Auto    Way = "auto"    // what config.txt leaves to the firmware
	Kexec   Way = "kexec"   // not by the boot loader at all

	// OneShot asks for the boot loader's own way to boot something once. The Way of a [Boot] is then one of these four.
	OneShot   Way = "oneshot"
	NextEntry Way = "nextentry" // GRUB's
	Entry     Way = "entry"     // systemd-boot's
	BootNext  Way = "bootnext"  // the UEFI firmware's, whatever loader it starts otherwise
	TryBoot   Way = "tryboot"   // the Raspberry Pi's firmware's; the reboot has to ask for it
)

// Ways are those that can be asked for, the default first.
var Ways = []Way{Replace, OneShot, Kexec}

// Once reports whether the way is a boot loader's own one-shot, which changes nothing of what boots otherwise.
func (w Way) Once() bool { return w == NextEntry || w == Entry || w == BootNext || w == TryBoot }

// Boot is the way into the archive on one device.
type Boot struct {
	Way    Way
	File   string // the initramfs that the boot loader loads, "/boot/initrd.img-6.1.0-56-amd64"; of a one-shot the archive's own file; "" for Kexec
	Config string // of Name: the file that names File; of a one-shot the boot loader's directory
	Kernel string // of Kexec and a one-shot: the file of the kernel that runs

	who  string // boots it, where that is not the loader; see [Boot.Says]
	what string // it boots, where that is not File
}

// Dir is the directory that the archive is written to, "" for none.
func (b Boot) Dir() string {
	switch b.Way {
	case Replace, NextEntry:
		return "/boot"
	case Name, Auto, TryBoot:
		return "/boot/firmware"
	case Entry, BootNext:
		return b.Config
	}
	return ""
}

var (
	bootFile   = regexp.MustCompile(`^/boot/(firmware/)?initrd\.img-[A-Za-z0-9._+~-]+$`)
	kernelPath = regexp.MustCompile(`^/boot/vmlinuz-[A-Za-z0-9._+~-]+$`)
)

// Check refuses what is no way in that a push may take: the paths go to a shell and over files.
func (b Boot) Check() error {
	ok := false
	switch firmware := strings.HasPrefix(b.File, "/boot/firmware/"); b.Way {
	case Replace:
		ok = bootFile.MatchString(b.File) && !firmware && b.Config == "" && b.Kernel == ""
	case Name:
		ok = bootFile.MatchString(b.File) && firmware && b.Config == configTxt && b.Kernel == ""
	case Kexec:
		ok = b.File == "" && b.Config == "" && kernelPath.MatchString(b.Kernel)
	case Entry, BootNext:
		ok = slices.Contains(efiMounts, b.Config) && b.File == b.Config+"/groundhog/initrd" && kernelPath.MatchString(b.Kernel)
	case Auto:
		ok = b.File == autoFile && b.Config == configTxt && b.Kernel == ""
	case TryBoot:
		ok = b.File == "/boot/firmware/groundhog.img" && b.Config == configTxt && kernelPath.MatchString(b.Kernel)
	case NextEntry:
		ok = b.File == onceFile && b.Config == "/boot/grub" && kernelPath.MatchString(b.Kernel)
	}
	if !ok || strings.Contains(b.File+b.Kernel, "..") {
		return fmt.Errorf("%q is no way into an archive that is known (%q, %q, %q)", b.Way, b.File, b.Config, b.Kernel)
	}
	return nil
}

// Evidence is what the facts say of a loader and this device.
type Evidence int

const (
	Absent   Evidence = iota // nothing of it is there, or another one is proven
	Possible                 // its files are there, and nothing speaks against it
	Proven                   // the firmware, the loader itself or the boot sector says that it started this system
)

// A Loader is one boot loader.
type Loader interface {
	// Name is what people call it.
	Name() string
	// Evidence is how sure it is that this one started the system.
	Evidence(Facts) Evidence
	// Boot finds the file that decides which initramfs boots next. The error says what stands in the way, and is a *Refusal where there is advice.
	Boot(Facts) (Boot, error)
}

// An OnceLoader is a Loader that can be told what to boot once.
type OnceLoader interface {
	// Once is the way in by that. The error is as that of Boot.
	Once(Facts) (Boot, error)
}

// efiMounts is where Debian's packages have the EFI system partition mounted.
var efiMounts = []string{"/efi", "/boot", "/boot/efi"}

// onceFile is the archive's name in /boot where a one-shot names it.
const onceFile = "/boot/groundhog.img"

// ByOneShot is the way in by the one-shot of the boot loader that starts the device.
func ByOneShot(f Facts, l Loader) (Boot, error) {
	s, ok := l.(OnceLoader)
	if !ok {
		return Boot{}, refuseWithHint("", "%s has no one-shot that is known here", l.Name())
	}
	b, err := s.Once(f)
	if err == nil {
		err = b.Check()
	}
	return b, err
}

// Refusal is a reason not to push, with what mends it on the device. Which other way is open is not for a loader to say: that follows from all facts, and from the ways
// themselves.
type Refusal struct {
	Text, Hint string
}

func (r *Refusal) Error() string { return r.Text }

func refuseWithHint(hint, format string, args ...any) error {
	return &Refusal{fmt.Sprintf(format, args...), hint}
}

// allLoaders is the loaders that are known; of two for which the evidence is the same the earlier one counts.
var allLoaders = []Loader{raspberryLoader{}, unifiedLoader{}, systemdBoot{}, grubLoader{}, uBootImage{}, extlinuxLoader{}, otherEFI{}}

// ErrUnknown is of a device whose boot loader none of those is that are known.
var ErrUnknown = errors.New("no boot loader is known that starts this system")

// Of is the loader that starts the device.
func Of(f Facts) (Loader, Evidence, error) {
	var found Loader
	best := Absent
	for _, l := range allLoaders {
		if e := l.Evidence(f); e > best {
			found, best = l, e
		}
	}
	if found == nil {
		return nil, Absent, &Refusal{fmt.Sprintf("%v (found: %s)", ErrUnknown, seenLoaders(f)), ""}
	}
	return found, best, nil
}

// seenLoaders is what was found of loaders, for people.
func seenLoaders(f Facts) string {
	found := slices.Concat(f["loader"], f["loader_info"], f["efi_file"])
	if len(found) == 0 {
		return "none"
	}
	return strings.Join(found, ", ")
}
