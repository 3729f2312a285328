package initrd

import "fmt"

// File types in [Entry.Mode], as in inode(7).
const (
	TypeMask   = 0o170000
	TypeSocket = 0o140000
	TypeLink   = 0o120000
	TypeFile   = 0o100000
	TypeBlock  = 0o060000
	TypeDir    = 0o040000
	TypeChar   = 0o020000
	TypePipe   = 0o010000
)

// trailerName is the name of the record that ends a run.
const trailerName = "TRAILER!!!"

// Device is a device number, split as cpio(5) stores it.
type Device struct{ Major, Minor uint32 }

// Entry is one cpio record. Numbers have the width of the format: 32 bits.
type Entry struct {
	Name  string // as stored: no leading slash, "." for the root
	Mode  uint32 // st_mode: type and permission bits, inode(7)
	UID   uint32
	GID   uint32
	Nlink uint32
	Mtime uint32 // seconds since 1970
	Ino   uint32
	Dev   Device // of the file system it was read from; with Ino it names a hard-linked file
	Rdev  Device // of a device node
	Sum   bool   // a 070702 record: carries the sum of its data bytes
	Data  []byte // a file's content or a symlink's target; shared, not to be written to

	// Of a hard-linked file only one name, as a rule the last, has the Data;
	// [Image.Content] finds it.

	namePad int              // NULs after the name beyond the one that ends it
	away    *releasedContent // what Data was, where it was let go
	seg     *Segment
	link    *linkGroup
}

// Type is the file type: one of the Type constants.
func (e *Entry) Type() uint32 { return e.Mode & TypeMask }

// Perm is the permission bits with setuid, setgid and sticky.
func (e *Entry) Perm() uint32 { return e.Mode &^ TypeMask }

// IsDir reports whether e is a directory.
func (e *Entry) IsDir() bool { return e.Type() == TypeDir }

// IsFile reports whether e is a regular file.
func (e *Entry) IsFile() bool { return e.Type() == TypeFile }

// IsLink reports whether e is a symbolic link; its target is in Data.
func (e *Entry) IsLink() bool { return e.Type() == TypeLink }

// isKnownType reports whether the type is one that the kernel unpacks.
func (e *Entry) isKnownType() bool {
	switch e.Type() {
	case TypeSocket, TypeLink, TypeFile, TypeBlock, TypeDir, TypeChar, TypePipe:
		return true
	}
	return false
}

// IsTrailer reports whether e ends a run inside a segment that holds several.
func (e *Entry) IsTrailer() bool { return e.Name == trailerName }

// Segment is the segment that holds e.
func (e *Entry) Segment() *Segment { return e.seg }

// ModeString is the mode as ls(1) writes it: -rwxr-xr-x.
func (e *Entry) ModeString() string { return ModeString(e.Mode) }

// ModeString writes a st_mode as ls(1) does, unknown types as "?".
func ModeString(mode uint32) string {
	const rwx = "rwxrwxrwx"
	types := map[uint32]byte{TypeSocket: 's', TypeLink: 'l', TypeFile: '-', TypeBlock: 'b',
		TypeDir: 'd', TypeChar: 'c', TypePipe: 'p'}
	s := []byte("?---------")
	if c, ok := types[mode&TypeMask]; ok {
		s[0] = c
	}
	for i := range 9 {
		if mode&(1<<(8-i)) != 0 {
			s[1+i] = rwx[i]
		}
	}
	special := func(i int, bit uint32, c byte) {
		if mode&bit == 0 {
			return
		}
		if s[i] == '-' {
			c -= 'a' - 'A'
		}
		s[i] = c
	}
	special(3, 0o4000, 's')
	special(6, 0o2000, 's')
	special(9, 0o1000, 't')
	return string(s)
}

// dataSum is the checksum of a 070702 record: its data bytes added up, cpio(5).
func (e *Entry) dataSum() uint32 {
	var n uint32
	for _, b := range e.Data {
		n += uint32(b)
	}
	return n
}

func (e *Entry) String() string { return fmt.Sprintf("%s %s", e.ModeString(), e.Name) }
