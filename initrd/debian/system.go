package debian

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
)

// RaspberryPiOS is the name of the system that is Debian with kernels of its own, and on 32 bits with programs of its own. Its releases have
// Debian's names.
const RaspberryPiOS = "Raspberry Pi OS"

// raspberryKernel is a kernel of Raspberry Pi OS: since bookworm 6.12.25+rpt-rpi-v8, one for each kind of processor (v6, v7, v7l, v8, 2712);
// before, 6.1.21-v8+ of the package raspberrypi-kernel.
var raspberryKernel = regexp.MustCompile(`^[0-9.]+(\+rpt-rpi-[a-z0-9]+|-v(7|7l|8)\+)$`)

// DerivedBy is the name of the system, derived from Debian, that a kernel is of; "" of any other kernel.
func DerivedBy(kernel string) string {
	if raspberryKernel.MatchString(kernel) {
		return RaspberryPiOS
	}
	return ""
}

// raspbian is how 32-bit Raspberry Pi OS calls itself, in os-release(5) in small letters: Debian, built anew for ARMv6.
const raspbian = "Raspbian"

// Derived is the system, derived from Debian, that says so itself; "" of any other.
func (o OSRelease) Derived() string { return derivedFrom(o.ID, strings.ToLower(raspbian)) }

// Derived is [OSRelease.Derived] by the programs in an archive.
func (s System) Derived() string { return derivedFrom(s.Vendor, raspbian) }

func derivedFrom(said, name string) string {
	if said == name {
		return RaspberryPiOS
	}
	return ""
}

// System is whose system an archive was made in, as far as its own programs say.
type System struct {
	Vendor  string // "Debian", "Raspbian", "Ubuntu"; "" where nothing says so
	GLIBC   string // the C library's version, "2.36"
	Release string // the supported release with that C library, or else with that dropbear; "" of none
	// Dropbear is the server's own word, "2022.83"; "" where there is none.
	Dropbear string
}

var (
	glibcBanner   = regexp.MustCompile(`GNU C Library \((\w+) E?GLIBC [^)]{1,64}\) (?:stable|development) release version (2\.[0-9]{1,3})`)
	busyboxBanner = regexp.MustCompile(`BusyBox v[0-9.]{3,12} \((\w+) `)
)

// SystemOf asks the C library, busybox and dropbear in an archive. It reads large files.
func SystemOf(img *initrd.Image, server *Server) System {
	s := System{Dropbear: server.Version}
	for name, e := range img.Tree() {
		if path.Base(name) == "libc.so.6" && e.IsFile() {
			if m := glibcBanner.FindSubmatch(img.Content(e)); m != nil {
				s.Vendor, s.GLIBC = string(m[1]), string(m[2])
			}
		}
	}
	if box, err := img.ReadFile("bin/busybox"); err == nil && s.Vendor == "" {
		if m := busyboxBanner.FindSubmatch(box); m != nil {
			s.Vendor = string(m[1])
		}
	}
	if s.Release = dropbear.OfGLIBC(s.GLIBC); s.GLIBC == "" {
		s.Release = releaseOf(s.Dropbear)
	}
	return s
}

// String says what was found, for messages.
func (s System) String() string {
	var all []string
	if s.GLIBC != "" {
		all = append(all, "glibc "+s.GLIBC)
	}
	if s.Dropbear != "" {
		all = append(all, "dropbear "+s.Dropbear)
	}
	return strings.Join(all, ", ")
}

// Supported says why an archive is of no supported release, nil where it is of one or nothing tells.
func (s System) Supported() error {
	list := strings.Join(dropbear.Releases(), ", ")
	switch {
	case s.Vendor != "" && s.Vendor != "Debian" && s.Derived() == "":
		return fmt.Errorf("the archive is of %s (%s), not of Debian: not supported (supported: %s)", s.Vendor, s, list)
	case s.GLIBC != "" && s.Release == "":
		return fmt.Errorf("the archive is of another Debian (%s): not supported (supported: %s)", s, list)
	case s.Dropbear != "" && s.Release == "":
		return fmt.Errorf("the archive's dropbear %s is of no supported release (supported: %s)", s.Dropbear, list)
	}
	return nil
}

// Odd says which version of dropbear is not the release's own; "" where it is. in is where it was found: "the archive", "the root tree".
func (s System) Odd(in string) string {
	v, err := dropbear.ForRelease(s.Release)
	if err != nil || s.Dropbear == "" || s.Dropbear == v.Dropbear {
		return ""
	}
	switch other := releaseOf(s.Dropbear); other {
	case s.Release: // an update
		return ""
	case "":
	default:
		return fmt.Sprintf("dropbear %s is in %s, as %s has it, not %s (%s)", s.Dropbear, in, other, s.Release, v.Dropbear)
	}
	return fmt.Sprintf("dropbear %s is in %s, which %s does not have: it is taken for its %s", s.Dropbear, in, s.Release, v.Dropbear)
}
