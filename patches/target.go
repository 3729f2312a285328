package patches

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dpkg"
	"groundhog/initrd/debian/dropbear"
	"groundhog/initrd/show"
	"groundhog/patches/sysroot"
)

// editTarget is what is known of the machine that an archive or a root tree belongs
// to, and what is asked for.
type editTarget struct {
	Root    fs.FS    // the root tree; nil: none was given
	Layers  []string // what Root is made of, for messages
	Release string
	System  string // what is derived from that release, [debian.RaspberryPiOS]; "" for Debian itself

	opts     Options
	version  dropbear.Version
	notes    []string
	firmware []Firmware
}

// Archive is an archive under work.
type Archive struct {
	editTarget
	Image  *initrd.Image
	Kernel string // kernel release; empty where the archive has no modules
	Arch   string // Debian's name of the architecture

	touched []string        // paths that the patch at work put or changed
	all     []string        // those of the patches before it
	ours    map[string]bool // what earlier runs have changed or brought
	asked   []string        // paths of the programs that were asked for by name

	known   *debian.Facts // of the image after knownAt edits
	knownAt int
	applets knownApplets
}

// facts is what the archive says of itself as it is now.
func (t *Archive) facts() *debian.Facts {
	if at := t.Image.EditCount(); t.known == nil || t.knownAt != at {
		t.known, t.knownAt = cmp.Or(t.known, new(debian.Facts)).ReadAgain(t.Image), at
	}
	return t.known
}

// openArchive finds out what the image is for and refuses what is no target.
func openArchive(img *initrd.Image, root fs.FS, layers []string, opts Options) (*Archive, error) {
	if err := opts.checkOptions(); err != nil {
		return nil, err
	}
	t := &Archive{editTarget: editTarget{Root: root, Layers: layers, opts: opts}, Image: img}
	facts := t.facts()
	if err := facts.CheckBuilder(); err != nil {
		return nil, err
	}
	if !facts.HasDropbear() || opts.wantsRoot() {
		if err := t.checkPlaces(); err != nil {
			return nil, err
		}
	}
	t.Kernel, t.Arch = facts.Kernel(), facts.Architecture
	var err error
	found := debian.SystemOf(img, facts.Server)
	t.System = cmp.Or(debian.DerivedBy(t.Kernel), found.Derived())
	if t.ours, err = t.recordedPaths(); err != nil {
		return nil, err
	}
	if t.Release, err = t.debianRelease(facts, found); err != nil {
		return nil, err
	}
	if err := t.checkArch(); err != nil {
		return nil, err
	}
	has, err := t.rootPackages()
	if err != nil {
		return nil, err
	}
	server := found.Dropbear
	if !facts.HasDropbear() {
		server = t.rootDropbear(has)
	}
	return t, t.setVersion(server, has.tools, archiveAnchors, t.Image.ReadFile)
}

// checkArch refuses a root tree for another machine.
func (t *Archive) checkArch() error {
	if t.Root == nil || t.Arch == "" {
		return nil
	}
	arch, err := sysroot.Arch(t.Root)
	if err != nil || arch == t.Arch {
		return nil // a tree of a few .debs need not show its architecture
	}
	return fmt.Errorf("the archive is for %s, the root tree for %s", t.Arch, arch)
}

// checkPlaces refuses a root tree in which a directory that programs are taken from is a link that leads nowhere in that tree, by the link's name: else
// it would be the programs that are said to be missing. A link that leads elsewhere in the tree is followed.
func (t *editTarget) checkPlaces() error {
	if t.Root == nil {
		return nil
	}
	names := []string{"usr"}
	for _, dir := range debian.MergedDirs {
		names = append(names, "usr/"+dir, dir)
	}
	for _, name := range append(names, "usr/share", toolsDir, "usr/lib/modules") {
		if _, err := fs.Stat(t.Root, name); err == nil || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if to, err := fs.ReadLink(t.Root, name); err == nil {
			return fmt.Errorf("/%s in the root tree is a symbolic link to %s, which leads nowhere there: links are followed within the tree alone, as chroot does", name, show.Printable(to))
		}
	}
	return nil
}

// debianRelease is the Debian release: the one that was asked for, or that of an earlier run, or what archive and root tree say
// together. Where the two disagree, what is in the tree does not fit the archive.
func (t *Archive) debianRelease(facts *debian.Facts, found debian.System) (string, error) {
	if t.opts.Release != "" {
		if err := found.Supported(); err != nil {
			t.addNote("%v; it is treated as %s", err, t.opts.Release)
		} else if found.Release != "" && found.Release != t.opts.Release {
			t.addNote("the archive is of %s (%s), and treated as %s", found.Release, found, t.opts.Release)
		}
		return t.opts.Release, nil
	}
	if r, err := readRecord(t.Image); err != nil {
		return "", err
	} else if r != nil && r.Release != "" {
		return r.Release, nil
	}
	if err := found.Supported(); err != nil {
		return "", fmt.Errorf("%w; --release overrides", err)
	}
	if odd := found.Odd("the archive"); odd != "" {
		t.addNote("%s", odd)
	}
	tree, err := t.rootRelease()
	switch {
	case err != nil:
		return "", err
	case tree == "" && found.Release == "":
		return "", errors.New("the Debian release cannot be told: name it with --release, or give a root tree with etc/os-release")
	case tree == "":
		return found.Release, nil
	case found.Release == "" || found.Release == tree:
		return tree, nil
	case facts.HasDropbear() && !t.opts.wantsRoot():
		t.addNote("the archive is of %s (%s), the root tree of %s: nothing but keys is taken from it", found.Release, found, tree)
		return found.Release, nil
	}
	return "", fmt.Errorf("the archive is of %s (%s), the root tree of %s: give the tree that the archive was made in; --release overrides", found.Release, found, tree)
}

// rpiIssue is a file that every image of Raspberry Pi OS has, of 64 bits, too, whose os-release is Debian's own.
const rpiIssue = "etc/rpi-issue"

// wantsRoot reports whether programs or modules are taken from the root tree.
func (o *Options) wantsRoot() bool { return o.Curl || len(o.Tools) > 0 || len(o.Modules) > 0 }

// rootRelease is the root tree's release, "" where it does not say; one that is not supported is refused.
func (t *editTarget) rootRelease() (string, error) {
	if t.Root == nil {
		return "", nil
	}
	release, err := sysroot.Release(t.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return t.supportedRelease(release)
}

// supportedRelease is a root tree's release; what the tree is derived of is noted.
func (t *editTarget) supportedRelease(release debian.OSRelease) (string, error) {
	t.System = cmp.Or(t.System, release.Derived())
	if _, err := sysroot.Find(t.Root, rpiIssue); err == nil {
		t.System = cmp.Or(t.System, debian.RaspberryPiOS)
	}
	name := release.Codename
	if name == "" {
		name = strings.TrimSpace(release.ID + " " + release.Version)
	}
	if _, err := dropbear.ForRelease(name); err != nil {
		return "", fmt.Errorf("the root tree: %w; --release overrides", err)
	}
	return name, nil
}

// The four ways to change the archive. Each notes the path it changed.

// putEntry makes the entry at name what is given.
func (t *Archive) putEntry(name string, mode uint32, data []byte) error {
	changed, err := t.Image.Put(name, initrd.File{Mode: mode, Data: data})
	if changed {
		t.touchEntry(name)
	}
	return err
}

// putGenerated writes a file that mkinitramfs would have written, with the mode
// of such files in this archive: 0600 where dropbear's UMASK was in force.
func (t *Archive) putGenerated(name string, data []byte) error {
	mode := uint32(initrd.TypeFile | 0o644)
	if e := t.Image.Lookup("conf/arch.conf"); e != nil {
		mode = e.Mode
	}
	if e := t.Image.Lookup(name); e != nil {
		mode = 0
	}
	return t.putEntry(name, mode, data)
}

// editGenerated changes the text of such a file, or makes the file of none.
func (t *Archive) editGenerated(name string, change textEdit) error {
	text, err := t.Image.ReadFile(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		text, err = change(text)
	}
	if err != nil {
		return err
	}
	return t.putGenerated(name, text)
}

// editText changes the text that name leads to.
func (t *Archive) editText(name string, change textEdit) error {
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
	return t.putEntry(real, 0, text)
}

func (t *Archive) touchEntry(name string) {
	if real, ok := t.Image.Resolve(path.Dir(name)); ok {
		name = path.Join(real, path.Base(name))
	}
	if !slices.Contains(t.touched, name) {
		t.touched = append(t.touched, name)
	}
}

func (t *editTarget) addNote(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// findInTree looks a file up in the root tree; the error says in which trees.
func (t *editTarget) findInTree(names ...string) (string, error) {
	if t.Root == nil {
		return "", fmt.Errorf("%s: not in the archive, and no root tree was given to take it from (--root or --deb)", names[0])
	}
	found, err := sysroot.Find(t.Root, names...)
	if errors.Is(err, fs.ErrNotExist) {
		return "", t.missingError(names[0], names...)
	}
	return found, err
}

// missingError says that none of the names is in the root tree, and where dpkg has put the file of one of them.
func (t *editTarget) missingError(shown string, names ...string) error {
	nf := &sysroot.NotFound{Name: shown, Layers: t.Layers}
	at, d, ok, err := dpkg.Diverted(t.Root, names...)
	if err != nil || !ok { // records that cannot be read are complained of where files are attributed by them
		return nf
	}
	by, now := "the administrator", "is there"
	if d.By != "" {
		by = "the package " + show.Printable(d.By)
	}
	if _, err := sysroot.Find(t.Root, d.To); err != nil {
		now = "is not there either"
	}
	return fmt.Errorf("%w: %s has diverted /%s to /%s, which %s (in the root tree, dpkg-divert --list shows it, --rename --remove undoes it)",
		nf, by, show.Printable(at), show.Printable(d.To), now)
}

// findProgram finds a program that can be run. One that dpkg-statoverride(1), say, has made not executable could not be run on the device either.
func (t *editTarget) findProgram(names ...string) (string, error) {
	found, err := t.findInTree(names...)
	if err != nil {
		return "", err
	}
	real, err := sysroot.Resolve(t.Root, found)
	if err != nil {
		return "", err
	}
	info, err := fs.Stat(t.Root, real)
	if err == nil && info.Mode().Perm()&0o111 == 0 {
		err = fmt.Errorf("%s in the root tree is not executable (mode %04o): chmod +x it there", found, info.Mode().Perm())
	}
	return found, err
}

// readOptional reads a file of the root tree, nil where there is none.
func (t *editTarget) readOptional(name string) ([]byte, error) {
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
