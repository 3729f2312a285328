package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"groundhog/cmd/internal/hint"
	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/manifest"
	"groundhog/patches/sysroot"
)

// archive is an initramfs file as it was read.
type archive struct {
	img   *initrd.Image
	input manifest.Input
}

// readArchive reads the initramfs in the file at path, unpacking at most maxSize bytes.
func readArchive(path string, maxSize int64) (*archive, error) {
	return files().readArchive(path, maxSize)
}

// readArchive does so for one that may come from standard input.
func (in *inputs) readArchive(path string, maxSize int64) (*archive, error) {
	return in.openArchive(path, maxSize, initrd.ReadHashed)
}

// skimArchive does so for who needs sums rather than contents.
func (in *inputs) skimArchive(path string, maxSize int64, keep func(name string) bool) (*archive, error) {
	return in.openArchive(path, maxSize, skimming(keep))
}

// skimming reads an archive of which, of what is large, only files that keep wants are held.
func skimming(keep func(name string) bool) func(io.Reader, initrd.Limits) (*initrd.Image, error) {
	return func(r io.Reader, l initrd.Limits) (*initrd.Image, error) {
		return initrd.Skim(r, l, func(name string, size int64) bool { return size <= 64<<10 || keep(name) })
	}
}

// nothing and noModules say what to hold: a manifest needs next to no large file, an
// appended segment may lean on every library, but on no module.
func nothing(name string) bool { return debian.NeedsContent(name) }
func noModules(name string) bool {
	_, module := sysroot.ModuleName(name)
	return !module
}

func (in *inputs) openArchive(path string, maxSize int64, read func(io.Reader, initrd.Limits) (*initrd.Image, error)) (*archive, error) {
	f, err := in.openFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	defer f.Close()
	return parseArchive(f, path, maxSize, read)
}

// parseArchive reads an archive from r, which is what path names.
func parseArchive(r io.Reader, path string, maxSize int64, read func(io.Reader, initrd.Limits) (*initrd.Image, error)) (*archive, error) {
	often := collectSeldom()
	img, err := read(r, initrd.Limits{Unpacked: maxSize, Entries: mostItems(maxSize)})
	often()
	if err != nil {
		err = fmt.Errorf("reading %s: %w", path, err)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = hint.To(err, "it ends too early: it may have been copied, or written, in part only")
		}
		return nil, sizeHint(err)
	}
	sum := img.FileSum()
	return &archive{img, manifest.Input{Role: "archive", Name: fileName(path),
		SHA256: hex.EncodeToString(sum[:]), Size: img.Size()}}, nil
}

// seldom counts those for whom garbage is collected less often, and keeps how often it was before the first of them.
var seldom struct {
	sync.Mutex
	users, before int
}

// collectSeldom has garbage collected less often until the function that it returns is called: next to nothing of what is read
// becomes garbage, and to collect as often as main asks for would cost a tenth of the time.
func collectSeldom() func() {
	seldom.Lock()
	defer seldom.Unlock()
	if seldom.users++; seldom.users == 1 {
		seldom.before = debug.SetGCPercent(400)
	}
	return func() {
		seldom.Lock()
		defer seldom.Unlock()
		if seldom.users--; seldom.users == 0 {
			debug.SetGCPercent(seldom.before)
		}
	}
}

// mostItems is how many entries may be in what unpacks to maxSize bytes: an entry
// costs some hundred bytes of memory even if it is empty. Debian's archives have one
// for 30 KB or more; below 128 MiB a number of them is allowed all the same.
func mostItems(maxSize int64) int { return int(max(maxSize>>11, 1<<16)) }

// layer is one --root or --deb, in the order of the command line.
type layer struct {
	path string
	debs bool
}

// layers collects --root and --deb; both flags append to one list, because
// later ones lie on top.
type layers []layer

// layerFlag is one of the two flags (pflag.Value).
type layerFlag struct {
	list *layers
	debs bool
}

func (f layerFlag) String() string { return "" }
func (f layerFlag) Type() string   { return "path" }
func (f layerFlag) Set(path string) error {
	if path == "" {
		return errors.New("empty")
	}
	*f.list = append(*f.list, layer{path, f.debs})
	return nil
}

// open opens the root tree; nil where no layer was given.
func (ls layers) open(maxSize int64) (*sysroot.Tree, error) {
	if len(ls) == 0 {
		return nil, nil
	}
	var all []sysroot.Layer
	for _, l := range ls {
		if l.debs {
			all = append(all, sysroot.Debs(l.path).Limit(maxSize))
		} else {
			all = append(all, sysroot.Dir(l.path).Limit(maxSize))
		}
	}
	tree, err := sysroot.Open(all...)
	if err != nil {
		return nil, sizeHint(fmt.Errorf("opening the root tree: %w", err))
	}
	return tree, nil
}

// sizeHint is err with the way out where it is about a limit of --max-size.
func sizeHint(err error) error {
	if errors.Is(err, initrd.ErrTooLarge) || errors.Is(err, sysroot.ErrTooLarge) || errors.Is(err, manifest.ErrTooLarge) {
		return hint.To(err, "if it really is that large, --max-size raises the limit")
	}
	return err
}

// rootTree is a root tree on the way.
type rootTree struct {
	tree         *sysroot.Tree
	err          error
	opened, done chan struct{}
}

// openAhead opens the root tree while the archive is read, and looks up what the programs need: most of the patches' time
// goes into that.
func (ls layers) openAhead(maxSize int64, programs ...string) *rootTree {
	r := &rootTree{opened: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.tree, r.err = ls.open(maxSize)
		close(r.opened)
		if r.tree != nil {
			sysroot.Closure(r.tree, programs...) // whoever needs it hears of an error
		}
	}()
	return r
}

func (r *rootTree) get() (*sysroot.Tree, error) {
	<-r.opened
	return r.tree, r.err
}

func (r *rootTree) close() {
	if <-r.done; r.tree != nil {
		r.tree.Close()
	}
}

// inputs describes the .deb files among the layers; a directory has no hash.
func (ls layers) inputs() ([]manifest.Input, error) {
	var all []manifest.Input
	for _, l := range ls {
		if !l.debs {
			continue
		}
		files, err := sysroot.DebFiles(l.path)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			in, err := describe("deb", name)
			if err != nil {
				return nil, err
			}
			all = append(all, in)
		}
	}
	return all, nil
}

// describe hashes a file that goes into an archive.
func describe(role, name string) (manifest.Input, error) {
	f, err := os.Open(name)
	if err != nil {
		return manifest.Input{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return manifest.Input{Role: role, Name: fileName(name), SHA256: hex.EncodeToString(h.Sum(nil)), Size: n}, err
}

// maxSmall bounds such a file, in bytes.
const maxSmall = 16 << 20

// smallFile reads a file that a person wrote: keys, certificates.
func (in *inputs) smallFile(role, name string) ([]byte, manifest.Input, error) {
	const most = maxSmall
	f, err := in.open(name)
	if err != nil {
		return nil, manifest.Input{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s: more than %d bytes", name, most)
	}
	if err != nil {
		return nil, manifest.Input{}, err
	}
	sum := sha256.Sum256(b)
	return b, manifest.Input{Role: role, Name: fileName(name), SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))}, nil
}
