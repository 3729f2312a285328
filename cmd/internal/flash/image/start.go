package image

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"groundhog/cmd/internal/flash/image/entry"
	"groundhog/cmd/internal/flash/image/fat"
)

// ErrNoKernel is wrapped by errors that say why nobody can tell what an image would start.
var ErrNoKernel = entry.ErrNone

// Start is what an image's own boot loader would start if nobody touched a key.
type Start struct {
	Loader, Title  string
	Layout         string // loader, kind of entry and of partition table: by firmware, images of one layout come up alike, or none does
	Line           string // for the kernel
	Kernel, Initrd []byte
}

// startInfo is what was found. Kernel and initramfs are read when they are asked for.
type startInfo struct {
	mu     sync.Mutex
	entry  *entry.Entry
	layout string
	start  *Start
	none   error // why it cannot be told
}

// maxStarting is how long a kernel or an initramfs may take to be read from the image.
const maxStarting = 2 * time.Minute

// Layout is what [Image.Start] has as its Layout, with the same error, without reading a kernel.
func (i *Image) Layout(ctx context.Context) (string, error) {
	i.starts.mu.Lock()
	defer i.starts.mu.Unlock()
	err := i.findEntry(ctx)
	return i.starts.layout, err
}

// Start finds out, once for all devices, what the image would start. It decodes the image to its end. Where that cannot be told the error
// wraps [ErrNoKernel] and says why; nothing else need be wrong with the image.
func (i *Image) Start(ctx context.Context) (*Start, error) {
	i.starts.mu.Lock()
	defer i.starts.mu.Unlock()
	s := &i.starts
	if err := i.findEntry(ctx); err != nil || s.start != nil {
		return s.start, err
	}
	kernel, initrd, err := s.entry.Read(ctx)
	if err == nil {
		err = i.checkUnchanged(ctx)
	}
	if err != nil {
		return nil, i.notStarting(err)
	}
	s.start = &Start{Loader: s.entry.Loader, Title: s.entry.Title, Layout: s.layout, Line: s.entry.Line, Kernel: kernel, Initrd: initrd}
	return s.start, nil
}

// notStarting remembers an error that would be the same at another try.
func (i *Image) notStarting(err error) error {
	if errors.Is(err, ErrNoKernel) {
		i.starts.none = err
	}
	return err
}

// findEntry finds the entry. The caller holds the lock.
func (i *Image) findEntry(ctx context.Context) error {
	s := &i.starts
	if s.none != nil || s.entry != nil {
		return s.none
	}
	if err := i.Load(ctx); err != nil {
		return err
	}
	if err := i.Walk(ctx, func(int64) bool { return false }, nil); err != nil { // a kept index has no bytes: they are decoded here
		return err
	}
	all, err := i.readableFilesystems()
	if err != nil {
		return i.notStarting(err)
	}
	e, err := entry.Find(ctx, all)
	if err == nil {
		err = i.checkUnchanged(ctx)
	}
	if err != nil {
		return i.notStarting(err)
	}
	parts := []string{e.Loader, e.Kind, strings.TrimPrefix(strings.TrimPrefix(i.What(), "a "), "an ")}
	if slices.ContainsFunc(all, func(f entry.Filesystem) bool {
		if f.Kind != "vfat" {
			return false
		}
		_, err := f.List(ctx, "/EFI")
		return err == nil
	}) {
		parts = append(parts, "EFI")
	}
	s.entry, s.layout = &e, strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
	return nil
}

// readableFilesystems is the image's filesystems whose files can be read on this machine.
func (i *Image) readableFilesystems() (all []entry.Filesystem, err error) {
	image, err := i.decodedFile()
	if err != nil {
		return nil, err
	}
	partitions, err := partitionsOf(image)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoKernel, err)
	}
	debugfs, missing := sbinTool("debugfs")
	looked := map[int64]bool{}
	for _, p := range partitions {
		kind, err := filesystemAt(image, p.Start)
		if err != nil {
			return nil, err
		}
		if looked[p.Start] || len(looked) == maxFilesystems {
			continue
		}
		f := entry.Filesystem{N: p.N, Kind: kind}
		switch kind {
		case "ext":
			if missing != nil {
				return nil, fmt.Errorf("%w: debugfs is not installed (package e2fsprogs)", ErrNoKernel)
			}
			if f.UUID, f.Label, err = extNames(image, p.Start); err != nil {
				return nil, err
			}
			f.Files = extFiles{debugfs, image, p.Start, partitionWhere(p)}
		case "vfat":
			v, err := fat.Open(image, p.Start)
			if err != nil {
				continue // nothing boots from it
			}
			f.UUID, f.Label, f.Files = v.ID, v.Label, fatFiles{v, partitionWhere(p)}
		default:
			continue
		}
		looked[p.Start] = true
		all = append(all, f)
	}
	return all, nil
}

// extNames is an ext filesystem's UUID and label, by its superblock (fs/ext4/ext4.h).
func extNames(image *os.File, off int64) (uuid, label string, err error) {
	b := make([]byte, 32)
	if _, err := image.ReadAt(b, off+1024+0x68); err != nil {
		return "", "", err
	}
	u := hex.EncodeToString(b[:16])
	label, _, _ = strings.Cut(string(b[16:]), "\x00")
	return u[:8] + "-" + u[8:12] + "-" + u[12:16] + "-" + u[16:20] + "-" + u[20:], label, nil
}

// extFiles is the files of an ext filesystem, by debugfs.
type extFiles struct {
	debugfs string
	image   *os.File
	off     int64
	where   string
}

func (e extFiles) ReadFile(ctx context.Context, name string, most int64) ([]byte, error) {
	var b []byte
	name, err := e.followLinks(ctx, name)
	if err == nil {
		b, err = catFile(ctx, e.debugfs, e.image, e.off, name, int(most), maxStarting)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s: %w", ErrNoKernel, e.where, err)
	}
	return b, err
}

// maxLinkChain bounds a chain of links, which may be a ring; GRUB has the same bound.
const maxLinkChain = 8

// fastLink is what debugfs says of a short symbolic link; a longer one leads to no kernel.
var fastLink = regexp.MustCompile(`(?m)^Fast link dest: "(.*)"$`)

// followLinks is the name of the plain file that a name leads to. debugfs itself follows links in the directories of a name; it takes the
// filesystem's root for /.
func (e extFiles) followLinks(ctx context.Context, name string) (string, error) {
	for range maxLinkChain {
		said, err := askDebugfs(ctx, e.debugfs, e.image, e.off, "stat", name, maxStat, maxStarting)
		if err != nil {
			return "", err
		}
		m := fastLink.FindSubmatch(said)
		switch first, _, _ := strings.Cut(string(said), "\n"); {
		case strings.Contains(first, "Type: regular"):
			return name, nil
		case m == nil || !strings.Contains(first, "Type: symlink"):
			return "", fs.ErrNotExist
		}
		to := string(m[1])
		if !strings.HasPrefix(to, "/") {
			to = path.Dir(name) + "/" + to
		}
		if name, err = entry.Clean(to); err != nil {
			return "", err
		}
	}
	return "", fs.ErrNotExist
}

// maxStat is more than debugfs says of a file that is a kernel, or an initramfs, in bytes: it lists a file's blocks.
const maxStat = 1 << 20

// List lists nothing: no loader that is looked for here has a directory of entries in an ext filesystem.
func (e extFiles) List(context.Context, string) ([]string, error) { return nil, fs.ErrNotExist }

// fatFiles is the files of a FAT.
type fatFiles struct {
	fs    *fat.FS
	where string
}

func (f fatFiles) ReadFile(ctx context.Context, name string, most int64) ([]byte, error) {
	b, err := f.fs.ReadFile(name, most)
	return b, f.unreadableError(ctx, err)
}

func (f fatFiles) List(ctx context.Context, dir string) ([]string, error) {
	names, err := f.fs.List(dir)
	return names, f.unreadableError(ctx, err)
}

func (f fatFiles) unreadableError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrNoKernel, f.where, err)
}
