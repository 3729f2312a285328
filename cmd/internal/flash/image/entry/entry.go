// Package entry finds in a disk image what its own boot loader would start if nobody touched a key: kernel, initramfs and command line. It
// reads grub.cfg as grub-mkconfig writes it, systemd-boot's entries and unified kernel images (the Boot Loader Specification of the UAPI
// Group), and extlinux.conf.
//
// It never guesses. A default that depends on a condition, a variable in a command line, or two loaders of which the firmware might take
// either are errors. Anybody may have written the texts: a path in one of them leads to a file of the same image or nowhere, and nothing
// in them is run.
package entry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// ErrNone is wrapped by errors that say why the kernel that an image would start cannot be found. Nothing else need be wrong with the image.
var ErrNone = errors.New("the image's own kernel cannot be told")

func noEntry(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNone, fmt.Sprintf(format, args...))
}

// Bounds: an image may be anybody's.
const (
	maxText      = 1 << 20   // bytes of a configuration
	maxKernel    = 128 << 20 // bytes of a kernel, or a unified image
	maxInitrd    = 512 << 20 // bytes of all initramfs files
	maxEntries   = 1000
	maxUnified   = 1 << 30  // bytes of all unified images that are looked into
	maxSections  = 96       // of one, as Windows' loader has it
	maxEntryText = 64 << 10 // bytes of an entry that is a file, or of a command line with its padding
	maxRelease   = 16 << 10 // bytes of an os-release
	maxLine      = 2047     // bytes of a command line on x86 (COMMAND_LINE_SIZE)
)

// Files reads files of a filesystem. Names are absolute. The error is fs.ErrNotExist where there is nothing of that name.
type Files interface {
	ReadFile(ctx context.Context, name string, most int64) ([]byte, error)
	List(ctx context.Context, dir string) ([]string, error)
}

// Filesystem is a filesystem in the image whose files can be read.
type Filesystem struct {
	N     int    // its partition's number, 0 where the image has none
	Kind  string // ext, vfat
	UUID  string // as blkid has it
	Label string
	Files
}

func (f Filesystem) String() string {
	if f.N == 0 {
		return "the image"
	}
	return fmt.Sprintf("partition %d", f.N)
}

// Entry is what the boot loader starts.
type Entry struct {
	Loader string // whose configuration it is: GRUB, systemd-boot, extlinux
	Kind   string // of that configuration: an image with the same loader and kind is started by the firmware in the same way
	Title  string
	Line   string // for the kernel; without initrd=

	on      Filesystem
	kernel  string
	initrds []string
	unified bool // kernel, initramfs and command line are one file
}

// bootLoaders are the boot loaders whose configuration is looked for.
var bootLoaders = []struct {
	name string
	find func(context.Context, []Filesystem) (found []foundConfig, err error)
}{
	{"GRUB", findGRUB}, {"systemd-boot", findSystemdBoot}, {"extlinux", findExtlinux},
}

// foundConfig is a configuration that was found.
type foundConfig struct {
	where string // for people
	read  func(context.Context) (Entry, error)
}

// Find is the entry that is started by itself.
func Find(ctx context.Context, all []Filesystem) (Entry, error) {
	if err := refuseRaspberry(ctx, all); err != nil {
		return Entry{}, err
	}
	var found []foundConfig
	var names, where []string
	for _, l := range bootLoaders {
		here, err := l.find(ctx, all)
		if err != nil {
			return Entry{}, err
		}
		for _, f := range here {
			found, names, where = append(found, f), append(names, l.name), append(where, f.where)
		}
	}
	if len(found) > 1 {
		at, err := takenLoader(ctx, all, names)
		if err != nil {
			return Entry{}, err
		}
		if at < 0 {
			return Entry{}, noEntry("it has %s, and which of them the firmware takes nothing says", strings.Join(where, " and "))
		}
		found = found[at : at+1]
	}
	if len(found) == 0 {
		return Entry{}, noEntry("it has neither grub.cfg, nor entries of systemd-boot, nor extlinux.conf in a filesystem that can be read here")
	}
	e, err := found[0].read(ctx)
	if err == nil && len(e.Line) > maxLine {
		err = noEntry("its command line has more than %d bytes", maxLine)
	}
	return e, err
}

// fallbackPath is where the firmware looks on a disk of which it knows nothing (UEFI specification, 3.5.1.1).
const fallbackPath = "/EFI/BOOT/BOOTX64.EFI"

// takenLoader is which of several loaders a UEFI firmware starts from a disk that is new to it: systemd-boot, if the file at fallbackPath says that it
// is that. -1: nobody can know.
func takenLoader(ctx context.Context, all []Filesystem, names []string) (int, error) {
	at := slices.Index(names, "systemd-boot")
	for _, f := range all {
		if f.Kind != "vfat" {
			continue
		}
		b, err := f.ReadFile(ctx, fallbackPath, maxKernel)
		if err == nil && bytes.Contains(b, []byte("#### LoaderInfo: systemd-boot")) {
			return at, nil
		}
		if err != nil && ctx.Err() != nil {
			return -1, err
		}
	}
	return -1, nil
}

// refuseRaspberry refuses an image for the Raspberry Pi's firmware: no kernel of such a machine can be started by kexec.
func refuseRaspberry(ctx context.Context, all []Filesystem) error {
	for _, f := range all {
		if f.Kind == "vfat" {
			if ok, err := fileExists(ctx, f, "/config.txt"); err != nil || ok {
				return cmpErr(err, noEntry("%s has config.txt, a Raspberry Pi's: those are not started by kexec", f))
			}
		}
	}
	return nil
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// readText reads a configuration; nil where there is no such file.
func readText(ctx context.Context, f Filesystem, name string) ([]byte, error) {
	b, err := f.ReadFile(ctx, name, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func fileExists(ctx context.Context, f Filesystem, name string) (bool, error) {
	b, err := readText(ctx, f, name)
	return len(b) > 0, err
}

// fileName is what may be a path in a configuration. It goes to debugfs(8) as a word.
var fileName = regexp.MustCompile(`^[A-Za-z0-9/._+~@:,=%-]+$`)

// Clean makes a path in a filesystem of what a configuration says.
func Clean(name string) (string, error) {
	name = strings.ReplaceAll(name, `\`, "/")
	if !fileName.MatchString(name) || len(name) > 1024 {
		return "", noEntry("it names the file %.80q", name)
	}
	return path.Clean("/" + name), nil
}

func (e *Entry) setFiles(kernel string, initrds []string) (err error) {
	if e.kernel, err = Clean(kernel); err != nil {
		return err
	}
	for _, name := range initrds {
		name, err := Clean(name)
		if err != nil {
			return err
		}
		e.initrds = append(e.initrds, name)
	}
	return nil
}

// Read reads the kernel and the initramfs; the latter is nil where there is none.
func (e Entry) Read(ctx context.Context) (kernel, initrd []byte, err error) {
	if kernel, err = e.readBootFile(ctx, e.kernel, maxKernel); err != nil {
		return nil, nil, err
	}
	if e.unified {
		u, err := parseUnified(kernel)
		return u.kernel, u.initrd, err
	}
	for _, name := range e.initrds {
		b, err := e.readBootFile(ctx, name, maxInitrd-int64(len(initrd)))
		if err != nil {
			return nil, nil, err
		}
		initrd = append(padArchive(initrd), b...)
	}
	return kernel, initrd, nil
}

// padArchive adds zeros up to the 4-byte boundary at which the kernel looks for the next archive.
func padArchive(initrd []byte) []byte {
	for len(initrd)%4 != 0 {
		initrd = append(initrd, 0)
	}
	return initrd
}

func (e Entry) readBootFile(ctx context.Context, name string, most int64) ([]byte, error) {
	b, err := e.on.ReadFile(ctx, name, most)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, noEntry("its %s entry %.80q names %s, which is not in %s", e.Loader, e.Title, name, e.on)
	}
	return b, err
}

// withoutInitrd is a command line without initrd=, with which a kernel's EFI stub is told of files that it loads.
func withoutInitrd(words []string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "initrd=") }), " ")
}
