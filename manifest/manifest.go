package manifest

import (
	"cmp"
	"fmt"
	"strconv"
)

// Schema is the newest version of the JSON form.
// Version 2 has the fields system and depends, which version 1 does not know, version 3 built_using as well, version 4 the capabilities of files; [Decode] reads all.
const Schema = 4

// The first version with the capabilities of files, and the one that is written where no file has any: it is the same without, and
// an older groundhog reads it.
const (
	schemaCapabilities = 4
	schemaWithout      = 3
)

// Manifest says what is in an archive or a root tree. The package's
// documentation has the meaning of each field.
type Manifest struct {
	Schema         int        `json:"schema"`
	Tool           string     `json:"tool,omitzero"`
	Created        string     `json:"created,omitzero"`
	Source         Source     `json:"source"`
	Archive        *Archive   `json:"archive,omitzero"`
	Inputs         []Input    `json:"inputs,omitempty"`
	Architecture   string     `json:"architecture,omitzero"`
	Release        string     `json:"release,omitzero"`
	System         *System    `json:"system,omitzero"`
	Kernels        []string   `json:"kernels,omitempty"`
	Groundhog      *Groundhog `json:"groundhog,omitzero"`
	Dropbear       bool       `json:"dropbear"`
	HostKeys       []Key      `json:"host_keys,omitempty"`
	AuthorizedKeys []Key      `json:"authorized_keys,omitempty"`
	Patches        []Patch    `json:"patches,omitempty"`
	Segments       []Segment  `json:"segments,omitempty"`
	Packages       []Package  `json:"packages,omitempty"`
	Entries        []Entry    `json:"entries"`
	Shadowed       []Entry    `json:"shadowed,omitempty"`
	Ignored        []Entry    `json:"ignored,omitempty"`
	Problems       []string   `json:"problems,omitempty"`
}

// Source is what a manifest describes.
type Source string

// The two kinds of source.
const (
	Initramfs Source = "initramfs"
	Root      Source = "root"
)

// Archive is the file that a manifest describes. Name is a base name.
type Archive struct {
	Name     string `json:"name,omitzero"`
	SHA256   string `json:"sha256"`
	Size     int64  `json:"size"`
	Unpacked int64  `json:"unpacked"` // bytes of all segments
}

// Input is a file that an archive was made from. Role is what it was for:
// "archive", "deb", "authorized_keys". Name is a base name, never a local path.
type Input struct {
	Role   string `json:"role"`
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// System is the operating system that the packages are of: ID and VERSION_ID of the root tree's os-release(5).
type System struct {
	ID      string `json:"id"`
	Version string `json:"version,omitzero"`
}

// Groundhog is where a patched archive says that it comes from.
type Groundhog struct {
	Tool  string `json:"tool"`
	Build string `json:"build"`
	Board string `json:"board,omitzero"`
}

// Key is a public key, by its fingerprint as ssh-keygen -lf prints it.
type Key struct {
	Path        string `json:"path"`
	Type        string `json:"type"` // "ssh-ed25519"
	Bits        int    `json:"bits"`
	Fingerprint string `json:"fingerprint"` // "SHA256:..."
	Comment     string `json:"comment,omitzero"`
}

// Patch is a change that groundhog made. Paths are those that it put or changed.
type Patch struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary,omitzero"`
	Paths   []string `json:"paths,omitempty"`
}

// Segment is one run of cpio records; sizes are in bytes.
type Segment struct {
	Offset      int64  `json:"offset"`
	Size        int64  `json:"size"`
	Padding     int64  `json:"padding"`
	Unpacked    int64  `json:"unpacked"`
	Compression string `json:"compression"`
	Entries     int    `json:"entries"`
	SHA256      string `json:"sha256,omitzero"`
}

// Package is a Debian package that files came from, or, of a root tree, that is installed there. Files and Bytes are what it
// accounts for here; a hard-linked file counts once in Bytes. Depends names those of
// the other packages here that it needs, by name and version, without their architecture, sorted; BuiltUsing is sorted, too.
type Package struct {
	Name          string       `json:"name"`
	Version       string       `json:"version"`
	Architecture  string       `json:"architecture"`
	Source        string       `json:"source"`
	SourceVersion string       `json:"source_version"`
	Files         int          `json:"files"`
	Bytes         int64        `json:"bytes"`
	Depends       []string     `json:"depends,omitempty"`
	BuiltUsing    []BuiltUsing `json:"built_using,omitempty"`
}

// BuiltUsing is a source package besides its own that a package has parts of; Static: linked in statically.
type BuiltUsing struct {
	Source  string `json:"source"`
	Version string `json:"version"`
	Static  bool   `json:"static,omitzero"`
}

// Compare orders them, as manifests have them.
func (b BuiltUsing) Compare(o BuiltUsing) int {
	static := 0
	if b.Static != o.Static {
		if static = -1; b.Static {
			static = 1
		}
	}
	return cmp.Or(cmp.Compare(b.Source, o.Source), cmp.Compare(b.Version, o.Version), static)
}

// Entry is a file, directory, link or device node.
type Entry struct {
	Path         string  `json:"path"`
	Type         Type    `json:"type"`
	Mode         Mode    `json:"mode"`
	UID          uint32  `json:"uid"`
	GID          uint32  `json:"gid"`
	Size         int64   `json:"size"`
	Mtime        int64   `json:"mtime"`
	Segment      int     `json:"segment"`
	SHA256       string  `json:"sha256,omitzero"`
	Stable       string  `json:"stable_sha256,omitzero"`
	Target       string  `json:"target,omitzero"`
	Device       string  `json:"device,omitzero"`
	LinkOf       string  `json:"link_of,omitzero"`
	Capabilities string  `json:"capabilities,omitzero"` // of a file in a root tree, as getcap -n prints them
	Patch        string  `json:"patch,omitzero"`
	Origin       *Origin `json:"origin,omitzero"`
}

// Type is an entry's file type.
type Type string

// The file types, as inode(7) has them.
const (
	File    Type = "file"
	Dir     Type = "dir"
	Symlink Type = "symlink"
	Char    Type = "char"
	Block   Type = "block"
	Fifo    Type = "fifo"
	Socket  Type = "socket"
	Unknown Type = "unknown"
)

// Mode is permission bits with setuid, setgid and sticky: at most 07777.
type Mode uint16

// String is the mode in octal digits, "0755".
func (m Mode) String() string { return fmt.Sprintf("%04o", uint16(m)) }

// AppendText appends the mode in octal digits.
func (m Mode) AppendText(b []byte) ([]byte, error) {
	return append(b, '0'+byte(m>>9&7), '0'+byte(m>>6&7), '0'+byte(m>>3&7), '0'+byte(m&7)), nil
}

// MarshalText returns the mode in octal digits.
func (m Mode) MarshalText() ([]byte, error) { return m.AppendText(nil) }

// UnmarshalText reads four octal digits.
func (m *Mode) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 8, 12)
	if err != nil || len(b) != 4 {
		return fmt.Errorf("mode %q: not four octal digits", b)
	}
	*m = Mode(n)
	return nil
}

// Origin says where a file came from.
type Origin struct {
	Kind         OriginKind `json:"kind"`
	Name         string     `json:"name,omitzero"`         // of the package, the maker or the patch
	Architecture string     `json:"architecture,omitzero"` // of the package
	Path         string     `json:"path,omitzero"`         // in the root tree, where it is another
	Modified     bool       `json:"modified,omitzero"`     // not as the package has it
}

// OriginKind is what kind of maker a file has.
type OriginKind string

// The kinds of origin.
const (
	FromPackage   OriginKind = "package"   // the file with that content belongs to a Debian package
	FromGenerator OriginKind = "generated" // made by a tool: ORDER, modules.dep
	FromGroundhog OriginKind = "groundhog" // made by a patch
	FromUnknown   OriginKind = "unknown"
)
