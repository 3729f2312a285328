package sysroot

import (
	"fmt"
	"io/fs"
	"strings"

	"groundhog/initrd/debian"
)

// Release reads the tree's os-release(5), in etc or else in usr/lib: for instance
// "debian", "bookworm", "12". What the file does not say is empty, but for id,
// which then is "linux". Debian's unstable has no version, its testing only a
// codename.
func Release(fsys fs.FS) (release debian.OSRelease, err error) {
	name, err := Find(fsys, "etc/os-release", "usr/lib/os-release")
	if err != nil {
		return release, fmt.Errorf("reading the release: %w", err)
	}
	b, err := readRegular(fsys, name, 1<<20)
	if err != nil {
		return release, fmt.Errorf("reading the release: %w", err)
	}
	if release, err = debian.ReadOSRelease(b); err != nil {
		return release, fmt.Errorf("reading the release: %s: %w", name, err)
	}
	if strings.Contains(release.ID+release.Codename+release.Version, "\n") {
		return debian.OSRelease{}, fmt.Errorf("reading the release: %s: a value of more than one line", name)
	}
	return release, nil
}
