package patches

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
	"groundhog/patches/sysroot"
)

// ErrDracut is returned for an archive that dracut made: its init has none of
// the scripts that groundhog patches.
var ErrDracut = errors.New("made by dracut, not by initramfs-tools: there are no scripts in it to patch")

// Target is an archive under work, with what is known of the machine it
// belongs to.
type Target struct {
	Image  *initrd.Image
	Root   fs.FS    // the root tree; nil: none was given
	Layers []string // what Root is made of, for messages

	Kernel  string // kernel release; empty where the archive has no modules
	Arch    string // Debian's name of the architecture
	Release string

	opts    Options
	version dropbear.Version
	notes   []string
	touched []string
}

// open finds out what the image is for and refuses what is no target.
func open(img *initrd.Image, root fs.FS, layers []string, opts Options) (*Target, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	t := &Target{Image: img, Root: root, Layers: layers, opts: opts}
	if err := t.checkOrigin(); err != nil {
		return nil, err
	}
	t.Kernel = KernelOf(img)
	t.Arch = ArchOf(img)
	var err error
	if t.Release, err = t.release(); err != nil {
		return nil, err
	}
	if t.version, err = dropbear.ForRelease(t.Release); err != nil {
		return nil, err
	}
	return t, t.checkArch()
}

// checkOrigin refuses archives that initramfs-tools did not make.
func (t *Target) checkOrigin() error {
	has := func(name string) bool { _, ok := t.Image.Resolve(name); return ok }
	file := func(name string) bool { _, err := t.Image.ReadFile(name); return err == nil }
	switch {
	case file("scripts/functions") && file("init") && file("conf/initramfs.conf"):
		return nil
	case has("usr/lib/dracut") || has("lib/dracut") || has("usr/lib/initrd-release") || has("etc/initrd-release"):
		return ErrDracut
	}
	return errors.New("no initramfs-tools in it (init, scripts/functions and conf/initramfs.conf are missing)")
}

// checkArch refuses a root tree for another machine.
func (t *Target) checkArch() error {
	if t.Root == nil || t.Arch == "" {
		return nil
	}
	arch, err := sysroot.Arch(t.Root)
	if err != nil || arch == t.Arch {
		return nil // a tree of a few .debs need not show its architecture
	}
	return fmt.Errorf("the archive is for %s, the root tree for %s", t.Arch, arch)
}

// What the archive says of itself is foreign text, and goes into messages and
// to depmod: a kernel's release as make kernelrelease builds them, and an
// architecture as dpkg names them (Debian Policy, 5.6.8).
var (
	kernelName = regexp.MustCompile(`^[0-9][A-Za-z0-9.+~_-]{0,63}$`)
	archName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
)

// KernelOf is the kernel release that the archive has modules for; of several
// the first by name, of none "".
func KernelOf(img *initrd.Image) string {
	dir, ok := img.Resolve("lib/modules")
	if !ok {
		return ""
	}
	for name, e := range img.Tree() {
		if e.IsDir() && path.Dir(name) == dir && kernelName.MatchString(path.Base(name)) {
			return path.Base(name)
		}
	}
	return ""
}

// ArchOf is the architecture that mkinitramfs noted in the archive, or "".
func ArchOf(img *initrd.Image) string {
	b, err := img.ReadFile("conf/arch.conf")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "DPKG_ARCH="); ok {
			if v = strings.Trim(v, `"'`); archName.MatchString(v) {
				return v
			}
		}
	}
	return ""
}

// release is the Debian release: asked for, or the root tree's, or the one
// whose dropbear is in the archive.
func (t *Target) release() (string, error) {
	if t.opts.Release != "" {
		return t.opts.Release, nil
	}
	if r, err := readRecord(t.Image); err != nil {
		return "", err
	} else if r != nil && r.Release != "" {
		return r.Release, nil
	}
	if t.Root != nil {
		id, codename, version, err := sysroot.Release(t.Root)
		if err == nil {
			return t.supported(id, codename, version)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if name := ReleaseOf(t.Image); name != "" {
		return name, nil
	}
	return "", errors.New("the Debian release cannot be told: name it with --release, or give a root tree with etc/os-release")
}

func (t *Target) supported(id, codename, version string) (string, error) {
	name := codename
	if name == "" {
		name = strings.TrimSpace(id + " " + version)
	}
	if _, err := dropbear.ForRelease(name); err != nil {
		return "", fmt.Errorf("the root tree: %w; --release overrides", err)
	}
	return name, nil
}

// ReleaseOf tells the Debian release from the version of the dropbear in the
// archive, or "" where that is none of a supported release.
func ReleaseOf(img *initrd.Image) string {
	server, err := img.ReadFile("sbin/dropbear")
	if err != nil {
		return ""
	}
	for _, name := range dropbear.Releases() {
		v, err := dropbear.ForRelease(name)
		year, _, _ := strings.Cut(v.Dropbear, ".")
		if err == nil && bytes.Contains(server, []byte("dropbear_"+year+".")) {
			return name
		}
	}
	return ""
}

// The three ways to change the archive. Each notes the path it changed.

// put makes the entry at name what is given.
func (t *Target) put(name string, mode uint32, data []byte) error {
	changed, err := t.Image.Put(name, initrd.File{Mode: mode, Data: data})
	if changed {
		t.touch(name)
	}
	return err
}

// generated writes a file that mkinitramfs would have written, with the mode
// of such files in this archive: 0600 where dropbear's UMASK was in force.
func (t *Target) generated(name string, data []byte) error {
	mode := uint32(initrd.TypeFile | 0o644)
	if e := t.Image.Lookup("conf/arch.conf"); e != nil {
		mode = e.Mode
	}
	if e := t.Image.Lookup(name); e != nil {
		mode = 0
	}
	return t.put(name, mode, data)
}

// edit changes the text that name leads to.
func (t *Target) edit(name string, change edit) error {
	real, ok := t.Image.Resolve(name)
	if !ok {
		return fmt.Errorf("%s: not in the archive", name)
	}
	text, err := t.Image.ReadFile(real)
	if err != nil {
		return err
	}
	text, err = change(text)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, t.Release, err)
	}
	return t.put(real, 0, text)
}

func (t *Target) touch(name string) {
	if real, ok := t.Image.Resolve(path.Dir(name)); ok {
		name = path.Join(real, path.Base(name))
	}
	if !slices.Contains(t.touched, name) {
		t.touched = append(t.touched, name)
	}
}

func (t *Target) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// find looks a file up in the root tree; the error says in which trees.
func (t *Target) find(names ...string) (string, error) {
	if t.Root == nil {
		return "", fmt.Errorf("%s: not in the archive, and no root tree was given to take it from (--root or --deb)", names[0])
	}
	found, err := sysroot.Find(t.Root, names...)
	if errors.Is(err, fs.ErrNotExist) {
		return "", &sysroot.NotFound{Name: names[0], Layers: t.Layers}
	}
	return found, err
}

// optional reads a file of the root tree, nil where there is none.
func (t *Target) optional(name string) ([]byte, error) {
	if t.Root == nil {
		return nil, nil
	}
	real, err := sysroot.Find(t.Root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return fs.ReadFile(t.Root, real)
}
