package input

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"groundhog/cmd/internal/hint"
	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/manifest"
	"groundhog/patches/sysroot"
)

// Archive is an initramfs file as it was read.
type Archive struct {
	Image *initrd.Image
	File  manifest.Input
}

// Archive reads an initramfs whole. In memory it may have maxSize bytes.
func (in *Files) Archive(path string, maxSize int64) (*Archive, error) {
	return in.openArchive(path, maxSize, initrd.ReadHashed)
}

// SkimArchive reads an initramfs and holds, of its large files, those that keep names; of the others there are sums.
func (in *Files) SkimArchive(path string, maxSize int64, keep func(name string) bool) (*Archive, error) {
	return in.openArchive(path, maxSize, skimReader(keep))
}

func skimReader(keep func(name string) bool) func(io.Reader, initrd.Limits) (*initrd.Image, error) {
	return func(r io.Reader, l initrd.Limits) (*initrd.Image, error) {
		return initrd.Skim(r, l, func(name string, size int64) bool { return size <= 64<<10 || keep(name) })
	}
}

// ForManifest names the large files whose content a manifest is made of.
func ForManifest(name string) bool { return debian.NeedsContent(name) }

// ForAppended names the large files that an appended segment may lean on: every library, but no module.
func ForAppended(name string) bool {
	_, module := debian.ModuleName(name)
	return !module
}

func (in *Files) openArchive(path string, maxSize int64, read func(io.Reader, initrd.Limits) (*initrd.Image, error)) (*Archive, error) {
	f, err := in.openEnding(path)
	if err != nil {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	defer f.Close()
	return parseArchive(f, path, maxSize, read)
}

// cutHint says of a file that ended where none may end what that may be.
func cutHint(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = hint.To(err, "it ends too early: it may have been copied, or written, in part only")
	}
	return err
}

// parseArchive reads an archive from r, which is what path names.
func parseArchive(r io.Reader, path string, maxSize int64, read func(io.Reader, initrd.Limits) (*initrd.Image, error)) (*Archive, error) {
	often := collectSeldom()
	img, err := read(r, initrd.Limits{Unpacked: maxSize, Entries: mostItems(maxSize)})
	often()
	if err != nil {
		err = fmt.Errorf("reading %s: %w", path, err)
		return nil, SizeHint(cutHint(err))
	}
	sum := img.FileSum()
	return &Archive{img, manifest.Input{Role: "archive", Name: manifest.EscapePath(Name(path)),
		SHA256: hex.EncodeToString(sum[:]), Size: img.Size()}}, nil
}

// seldomGC counts the readers for whom garbage is collected less often, and keeps the setting from before the first one.
var seldomGC struct {
	sync.Mutex
	users, before int
}

// collectSeldom has garbage collected less often until the function that it returns is called: next to nothing of what is read
// becomes garbage, and to collect as often as main asks for would cost a tenth of the time.
func collectSeldom() func() {
	seldomGC.Lock()
	defer seldomGC.Unlock()
	if seldomGC.users++; seldomGC.users == 1 {
		seldomGC.before = debug.SetGCPercent(400)
	}
	return func() {
		seldomGC.Lock()
		defer seldomGC.Unlock()
		if seldomGC.users--; seldomGC.users == 0 {
			debug.SetGCPercent(seldomGC.before)
		}
	}
}

// mostItems is how many entries may be in what unpacks to maxSize bytes: an entry
// costs some hundred bytes of memory even if it is empty. Debian's archives have one
// for 30 KB or more; below 128 MiB a number of them is allowed all the same.
func mostItems(maxSize int64) int { return int(max(maxSize>>11, 1<<16)) }

// SizeHint is err with the way out where it is about a limit of --max-size.
func SizeHint(err error) error {
	if errors.Is(err, initrd.ErrTooLarge) || errors.Is(err, sysroot.ErrTooLarge) || errors.Is(err, manifest.ErrTooLarge) {
		return hint.To(err, "if it really is that large, --max-size raises the limit")
	}
	return err
}
