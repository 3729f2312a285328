package loader

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Way is how a device gets to boot an archive.
type Way string

const (
	Replace   Way = "replace"   // the archive takes the place of the initramfs; the next system that boots puts the original back
	Name      Way = "name"      // config.txt names the archive in place of the original, which stays where it is
	Auto      Way = "auto"      // config.txt names the archive in place of leaving the initramfs to the firmware
	NextEntry Way = "nextentry" // GRUB boots an entry of its own once
	Entry     Way = "entry"     // systemd-boot boots an entry of its own once
	BootNext  Way = "bootnext"  // a UEFI firmware boots a load option of its own once, whatever loader it starts otherwise
	TryBoot   Way = "tryboot"   // the Raspberry Pi's firmware reads tryboot.txt once; the reboot has to ask for it
	Kexec     Way = "kexec"     // the running kernel starts itself with the archive; nothing is written to any disk

	// OneShot asks for the boot loader's own way to boot something once. The Way of a [Boot] is then one of those four.
	OneShot Way = "oneshot"
)

// Ways are those that can be asked for, the default first.
var Ways = []Way{Replace, OneShot, Kexec}

// wayRules is what is known of a way that writes to the device, in the file of its loader.
type wayRules struct {
	way     Way
	shell   string                    // what a push does by it on the device, and a restore
	once    bool                      // it is a boot loader's own one-shot, which changes nothing of what boots otherwise
	dir     string                    // that the archive is written to; "" for the Boot's Config
	room    string                    // the facts of that directory begin with this
	copies  bool                      // the kernel goes there, too
	keeps   bool                      // /var/lib/groundhog gets a copy of the initramfs
	names   func(Boot) bool           // whether File and Config are what they may be
	remarks func(Facts, Use) []Remark // what it has to say of a push; nil for nothing
	reboot  string                    // what the reboot has to ask with; "" for any reboot
}

// allWays is the ways that write to the device.
var allWays = []wayRules{replaceWay, nameWay, nextEntryWay, entryWay, bootNextWay, tryBootWay, autoWay}

// rules is what is known of the way; of one that writes nothing there is nothing to know.
func (w Way) rules() wayRules {
	i := slices.IndexFunc(allWays, func(r wayRules) bool { return r.way == w })
	if i < 0 {
		return wayRules{}
	}
	return allWays[i]
}

// Once reports whether the way is a boot loader's own one-shot, which changes nothing of what boots otherwise.
func (w Way) Once() bool { return w.rules().once }

// RebootArgument is what the reboot has to ask with; "" for any reboot.
func (w Way) RebootArgument() string { return w.rules().reboot }

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
func (b Boot) Dir() string { return cmp.Or(b.Way.rules().dir, b.Config) }

var (
	bootFile   = regexp.MustCompile(`^/boot/(firmware/)?initrd\.img-[A-Za-z0-9._+~-]+$`)
	kernelPath = regexp.MustCompile(`^/boot/vmlinuz-[A-Za-z0-9._+~-]+$`)
)

// Check refuses what is no way in that a push may take: the paths go to a shell and over files.
func (b Boot) Check() error {
	rules := b.Way.rules()
	ok := b.Way == Kexec && b.File == "" && b.Config == "" || rules.names != nil && rules.names(b)
	if b.Way == Kexec || rules.once {
		ok = ok && kernelPath.MatchString(b.Kernel)
	} else {
		ok = ok && b.Kernel == ""
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
	// Once is the way in by the one-shot. Its error is like that of Boot.
	Once(Facts) (Boot, error)
}

// efiMounts is where Debian's packages have the EFI system partition mounted.
var efiMounts = []string{"/efi", "/boot", "/boot/efi"}

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

// ErrUnknown is of a device that none of the known boot loaders starts.
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
