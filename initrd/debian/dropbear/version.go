package dropbear

import (
	"fmt"
	"path"
	"strings"
)

// Version is what one Debian release's dropbear, and the scripts packaged with
// it, can do and where they look. Paths have no leading slash.
type Version struct {
	Release  string // Debian's code name: "bookworm"
	Dropbear string // upstream's version: "2022.83"
	Tools    string // initramfs-tools' version, without what an update of it adds: "0.142"
	GLIBC    string // the C library's version: "2.36"

	// RootDir is the directory in the root tree that holds authorized_keys, the
	// host keys and the configuration for the initramfs; ConfigName is the
	// configuration's name in it.
	RootDir    string
	ConfigName string
	// ArchiveConfig is where the hook puts the configuration in an archive. Host
	// keys lie beside it; authorized_keys in the home that etc/passwd names.
	ArchiveConfig string

	MaxWindow    int  // the largest receive window that -W takes, in bytes
	Ed25519      bool // ssh-ed25519, as host key and as user key
	DSS          bool // ssh-dss, as host key and as user key
	SecurityKeys bool // sk-ssh-ed25519 and sk-ecdsa-sha2-nistp256 as user keys
	SbinInPath   bool // a session's PATH has /usr/sbin and /sbin
	NeedsNSSDNS  bool // name lookups need libnss_dns in the archive (glibc before 2.34)

	// moreOptions: authorized_keys may say restrict, permitopen,
	// no-touch-required and verify-required.
	moreOptions bool
}

const mib = 1 << 20

// dropbearVersions is sorted by age. Sources: Debian's hook and changelog of each
// release, dropbear's CHANGES, sysoptions.h and svr-authpubkeyoptions.c.
var dropbearVersions = []Version{
	{
		Release: "buster", Dropbear: "2018.76", Tools: "0.133", GLIBC: "2.28",
		RootDir: "etc/dropbear-initramfs", ConfigName: "config", ArchiveConfig: "etc/dropbear/config",
		MaxWindow: mib, DSS: true, NeedsNSSDNS: true,
	},
	{
		Release: "bullseye", Dropbear: "2020.81", Tools: "0.140", GLIBC: "2.31",
		RootDir: "etc/dropbear-initramfs", ConfigName: "config", ArchiveConfig: "etc/dropbear/config",
		MaxWindow: mib, Ed25519: true, DSS: true, NeedsNSSDNS: true,
	},
	{
		Release: "bookworm", Dropbear: "2022.83", Tools: "0.142", GLIBC: "2.36",
		RootDir: "etc/dropbear/initramfs", ConfigName: "dropbear.conf", ArchiveConfig: "etc/dropbear/dropbear.conf",
		// Its changelog says that ssh-dss is off; the server and dropbearkey take it.
		MaxWindow: 10 * mib, Ed25519: true, DSS: true, SecurityKeys: true, SbinInPath: true, moreOptions: true,
	},
	{
		Release: "trixie", Dropbear: "2025.89", Tools: "0.148", GLIBC: "2.41",
		RootDir: "etc/dropbear/initramfs", ConfigName: "dropbear.conf", ArchiveConfig: "etc/dropbear/dropbear.conf",
		MaxWindow: 10 * mib, Ed25519: true, SecurityKeys: true, SbinInPath: true, moreOptions: true,
	},
}

// Releases returns the code names ForRelease takes, oldest first.
func Releases() []string {
	var names []string
	for _, v := range dropbearVersions {
		names = append(names, v.Release)
	}
	return names
}

// ForRelease returns the Version of a Debian release by its code name. A release
// that is not in Releases is refused by name.
func ForRelease(name string) (Version, error) {
	for _, v := range dropbearVersions {
		if v.Release == name {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("release %q: not supported (supported: %s)", name, strings.Join(Releases(), ", "))
}

// OfGLIBC is the code name of the release with that C library, "" of none.
func OfGLIBC(version string) string {
	for _, v := range dropbearVersions {
		if v.GLIBC == version {
			return v.Release
		}
	}
	return ""
}

// With is what another release's dropbear, by upstream's version, does on v's release: name lookups are the C library's. One that
// no release has is taken for v's.
func (v Version) With(upstream string) Version {
	other, ok := Of(upstream)
	if !ok {
		return v
	}
	other.GLIBC, other.NeedsNSSDNS = v.GLIBC, v.NeedsNSSDNS
	return other
}

// Of is the Version with a dropbear of that year, by upstream's version.
func Of(upstream string) (Version, bool) {
	year, _, ok := strings.Cut(upstream, ".")
	for _, v := range dropbearVersions {
		if ok && strings.HasPrefix(v.Dropbear, year+".") {
			return v, true
		}
	}
	return Version{}, false
}

// String names a version in messages: "dropbear 2022.83 (bookworm)".
func (v Version) String() string { return fmt.Sprintf("dropbear %s (%s)", v.Dropbear, v.Release) }

// RootConfig is the configuration's path in the root tree.
func (v Version) RootConfig() string { return path.Join(v.RootDir, v.ConfigName) }

// RootAuthorizedKeys is the path in the root tree of the keys that the hook
// copies into the archive.
func (v Version) RootAuthorizedKeys() string { return path.Join(v.RootDir, "authorized_keys") }

// HostKeyTypes returns the kinds of host key this version can use, of those that
// GenerateHostKey makes, in known_hosts order.
func (v Version) HostKeyTypes() []string {
	if v.Ed25519 {
		return []string{"ed25519", "ecdsa", "rsa"}
	}
	return []string{"ecdsa", "rsa"}
}
