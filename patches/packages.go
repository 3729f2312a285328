package patches

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dpkg"
	"groundhog/initrd/debian/dropbear"
	"groundhog/patches/sysroot"
)

// A root tree of a release need not have that release's initramfs-tools and dropbear: whoever runs testing's kernel on stable installs
// newer ones, from testing or backports. dpkg's records tell the versions. A version that another supported release has is known, and
// only noted. In an initramfs-tools of any other version we look for the lines that we need, and refuse one that lacks them.

// rootPackages is the versions on record in a root tree, without what Debian adds to them: initramfs-tools' "0.142", dropbear's
// "2022.83"; "" where nothing tells.
type rootPackages struct{ tools, dropbear string }

// toolsAnchor is a line that initramfs-tools has to have.
type toolsAnchor struct {
	file string
	line *regexp.Regexp
}

// archiveAnchors are of what runs in an initramfs, treeAnchors of a root tree with initramfs-tools in it.
var (
	archiveAnchors = []toolsAnchor{
		{"init", regexp.MustCompile(`(?m)^\. /conf/initramfs\.conf$`)},
		{"init", regexp.MustCompile(`(?m)^run_scripts /scripts/init-premount$`)},
		{"scripts/functions", regexp.MustCompile(`(?m)^run_scripts\(\)`)},
		{"scripts/functions", regexp.MustCompile(`(?m)^configure_networking\(\)`)},
	}
	treeAnchors = append(inTree(archiveAnchors), toolsAnchor{path.Join(toolsDir, "hook-functions"), regexp.MustCompile(`(?m)^copy_exec\(\)`)})
)

func inTree(anchors []toolsAnchor) (list []toolsAnchor) {
	for _, a := range anchors {
		list = append(list, toolsAnchor{path.Join(toolsDir, a.file), a.line})
	}
	return list
}

var (
	toolsVersion    = regexp.MustCompile(`^[0-9]+\.[0-9]+`)
	dropbearVersion = regexp.MustCompile(`^[0-9]{4}\.[0-9]+`)
)

// rootPackages asks dpkg's records, where the tree is of the release that is worked with.
func (t *editTarget) rootPackages() (rootPackages, error) {
	if release, err := t.rootRelease(); err != nil || release != t.Release {
		return rootPackages{}, nil // nothing but keys is taken from it, or --release insists
	}
	root := t.Root
	if tree, ok := root.(*sysroot.Tree); ok {
		var err error
		if root, err = tree.Records(); err != nil {
			return rootPackages{}, err
		}
	}
	versions, err := dpkg.Versions(root)
	if err != nil {
		if !errors.Is(err, dpkg.ErrNone) {
			t.addNote("which initramfs-tools is in the root tree cannot be told: %v", err)
		}
		return rootPackages{}, nil
	}
	return rootPackages{toolsVersion.FindString(versions["initramfs-tools-core"]), dropbearVersion.FindString(versions["dropbear-initramfs"])}, nil
}

// rootDropbear is the root tree's dropbear, which is used; what is odd about it is said.
func (t *editTarget) rootDropbear(has rootPackages) string {
	if odd := (debian.System{Release: t.Release, Dropbear: has.dropbear}).Odd("the root tree"); odd != "" && t.opts.Release == "" {
		t.addNote("%s", odd)
	}
	return has.dropbear
}

// setVersion finds what a dropbear and an initramfs-tools of these versions are to us; read finds the files that anchors are of.
func (t *editTarget) setVersion(server, tools string, anchors []toolsAnchor, read func(string) ([]byte, error)) error {
	v, err := dropbear.ForRelease(t.Release)
	if err != nil {
		return err
	}
	t.version = v
	if t.opts.Release == "" {
		t.version = v.With(server)
	}
	if tools == "" || tools == v.Tools {
		return nil
	}
	for _, name := range dropbear.Releases() {
		if other, err := dropbear.ForRelease(name); err == nil && other.Tools == tools {
			t.addNote("initramfs-tools %s is in the root tree, as %s has it, not %s (%s)", tools, name, t.Release, v.Tools)
			return nil
		}
	}
	if t.opts.Release != "" {
		t.addNote("initramfs-tools %s is in the root tree, which no supported release has; it is treated as that of %s", tools, t.Release)
		return nil
	}
	for _, a := range anchors {
		text, err := read(a.file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !a.line.Match(text) {
			return fmt.Errorf("initramfs-tools %s is in the root tree, which no supported release has, and %s is not as known: no line %s (%s has %s); --release overrides",
				tools, a.file, strings.TrimPrefix(a.line.String(), "(?m)"), t.Release, v.Tools)
		}
	}
	t.addNote("initramfs-tools %s is in the root tree, which no supported release has: it is taken for %s's %s, since what is needed of it is as known", tools, t.Release, v.Tools)
	return nil
}
