// Package fat reads files of a FAT filesystem in an image: an EFI system partition's, without mtools and without mounting anything (Microsoft,
// "FAT: General Overview of On-Disk Format", 1.03).
//
// Anybody may have made the filesystem. A chain of clusters may be a ring, so reading one stops when it is longer than it can be; a size may
// be a lie, so memory grows with what was read.
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

// ErrBroken says that there is no FAT filesystem, or a damaged one.
var ErrBroken = errors.New("the FAT filesystem is damaged")

// Bounds in bytes: of a directory, which has 65,536 entries at most, and of all that are looked into, each of them once: a directory may be in
// itself, and a path may lead through as many as it has letters.
const (
	maxDirectory   = 2 << 20
	maxDirectories = 4 << 20
)

// FS is a FAT filesystem. Its offsets and sizes are in bytes, from the filesystem's start. It may be used by one goroutine at a time.
type FS struct {
	r        io.ReaderAt
	table    int64
	bits     int // of an entry in the allocation table: 12, 16 or 32
	data     int64
	cluster  int64 // the size of one
	clusters uint32
	root     uint32 // FAT32: the root directory's first cluster
	rootAt   int64  // FAT12, FAT16: the root directory has a place of its own
	rootLen  int64

	known map[uint32]*dirItems // directories that were read, by their first cluster
	seen  int64                // their bytes together

	ID    string // as blkid has it, 6D0A-F00D
	Label string
}

// Open opens the filesystem that begins at off.
func Open(r io.ReaderAt, off int64) (*FS, error) {
	b := make([]byte, 512)
	if _, err := r.ReadAt(b, off); err != nil {
		return nil, err
	}
	u16 := func(at int) int64 { return int64(binary.LittleEndian.Uint16(b[at:])) }
	u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }
	sector, perCluster, reserved, tables, rootEntries := u16(11), int64(b[13]), u16(14), int64(b[16]), u16(17)
	sectors, tableSectors, id := u16(19), u16(22), 39
	if sectors == 0 {
		sectors = u32(32)
	}
	f := &FS{r: io.NewSectionReader(r, off, 1<<62-off), bits: 16, known: map[uint32]*dirItems{}}
	if tableSectors == 0 {
		tableSectors, id, f.bits, f.root = u32(36), 67, 32, uint32(u32(44))
	}
	if b[510] != 0x55 || b[511] != 0xaa || sector < 512 || sector > 4096 || sector&(sector-1) != 0 || perCluster == 0 || perCluster&(perCluster-1) != 0 || tables == 0 || tableSectors == 0 {
		return nil, ErrBroken
	}
	f.table, f.cluster = reserved*sector, perCluster*sector
	f.rootAt, f.rootLen = f.table+tables*tableSectors*sector, rootEntries*32
	f.data = f.rootAt + (f.rootLen+sector-1)/sector*sector
	n := (sectors*sector - f.data) / f.cluster
	if f.bits != 32 && n < 4085 {
		f.bits = 12
	}
	if n <= 0 || (n+2)*int64(f.bits) > tableSectors*sector*8 {
		return nil, ErrBroken
	}
	f.clusters = uint32(n)
	f.ID = fmt.Sprintf("%02X%02X-%02X%02X", b[id+3], b[id+2], b[id+1], b[id])
	f.Label = strings.TrimRight(string(b[id+4:id+15]), " \x00")
	return f, nil
}

// ReadFile is a file's content; its name may have either slash, and letters of either case. The error is fs.ErrNotExist where there is none.
func (f *FS) ReadFile(name string, most int64) ([]byte, error) {
	e, err := f.findItem(name)
	switch {
	case err != nil:
		return nil, err
	case e.dir:
		return nil, fmt.Errorf("%s is a directory", name)
	case e.size > most:
		return nil, fmt.Errorf("%s has more than %d bytes", name, most)
	case e.size == 0:
		return nil, nil
	}
	return f.readChain(e.first, e.size)
}

// List is the names in a directory.
func (f *FS) List(dir string) ([]string, error) {
	e, err := f.findItem(dir)
	if err != nil {
		return nil, err
	}
	all, err := f.readDirectory(e)
	var names []string
	if err != nil {
		return nil, err
	}
	for _, e := range all.items {
		names = append(names, e.name)
	}
	return names, nil
}

// dirItem is a file or a directory, as its directory has it.
type dirItem struct {
	name, short string
	dir         bool
	first       uint32
	size        int64
}

func (f *FS) findItem(name string) (dirItem, error) {
	at := dirItem{name: "/", dir: true, first: f.root}
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		all, err := f.readDirectory(at)
		if err != nil {
			return at, err
		}
		n, ok := all.by[strings.ToUpper(part)]
		if !ok {
			return dirItem{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		at = all.items[n]
	}
	return at, nil
}

// dirItems is the items of a directory, without "." and "..".
type dirItems struct {
	items []dirItem
	by    map[string]int // index in items, by name in capitals, long and short
}

func (d *dirItems) addItem(i dirItem) {
	for _, name := range []string{strings.ToUpper(i.name), strings.ToUpper(i.short)} {
		if _, taken := d.by[name]; !taken {
			d.by[name] = len(d.items)
		}
	}
	d.items = append(d.items, i)
}

// readDirectory reads a directory.
func (f *FS) readDirectory(dir dirItem) (*dirItems, error) {
	if !dir.dir {
		return nil, fmt.Errorf("%s: %w", dir.name, fs.ErrNotExist)
	}
	if known := f.known[dir.first]; known != nil {
		return known, nil
	}
	var b []byte
	var err error
	if f.bits != 32 && dir.first == 0 { // the root, which ".." may name, too
		b = make([]byte, f.rootLen)
		_, err = f.r.ReadAt(b, f.rootAt)
	} else {
		b, err = f.readChain(dir.first, maxDirectory)
	}
	if err != nil {
		return nil, err
	}
	if f.seen += int64(len(b)); f.seen > maxDirectories {
		return nil, fmt.Errorf("%w: its directories have more than %d bytes", ErrBroken, maxDirectories)
	}
	all := &dirItems{by: map[string]int{}}
	var long longName
	for ; len(b) >= 32 && b[0] != 0; b = b[32:] {
		const longEntry, volume, directory = 0x0f, 0x08, 0x10
		switch e, kind := b[:32], b[11]; {
		case e[0] == 0xe5: // removed
			long = longName{}
		case kind&0x3f == longEntry:
			long.addPart(e)
		case kind&volume != 0:
			long = longName{}
		default:
			i := dirItem{short: shortName(e), dir: kind&directory != 0, size: int64(binary.LittleEndian.Uint32(e[28:])),
				first: uint32(binary.LittleEndian.Uint16(e[20:]))<<16 | uint32(binary.LittleEndian.Uint16(e[26:]))}
			if f.bits != 32 {
				i.first &= 0xffff
			}
			if i.name = long.nameFor(e); i.name == "" {
				i.name = i.short
			}
			if long = (longName{}); i.name != "." && i.name != ".." {
				all.addItem(i)
			}
		}
	}
	f.known[dir.first] = all
	return all, nil
}

// readChain reads the bytes of a chain of clusters, at most most of them. A file's chain must have as many.
func (f *FS) readChain(first uint32, most int64) ([]byte, error) {
	var out []byte
	for n, at := uint32(0), first; int64(len(out)) < most; n++ {
		if at >= f.endMark() && most == maxDirectory { // a directory ends with its chain: its size is written nowhere
			return out, nil
		}
		if at < 2 || at-2 >= f.clusters || n > f.clusters {
			return nil, ErrBroken
		}
		b := make([]byte, min(f.cluster, most-int64(len(out))))
		if _, err := f.r.ReadAt(b, f.data+int64(at-2)*f.cluster); err != nil {
			return nil, err
		}
		out = append(out, b...)
		var err error
		if at, err = f.nextCluster(at); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// endMark is the least number in the table that marks the end of a chain.
func (f *FS) endMark() uint32 { return 1<<min(f.bits, 28) - 8 }

// nextCluster is the cluster that follows in a chain.
func (f *FS) nextCluster(at uint32) (uint32, error) {
	b := make([]byte, 4)
	n := (f.bits + 7) / 8
	if _, err := f.r.ReadAt(b[:n], f.table+int64(at)*int64(f.bits)/8); err != nil {
		return 0, err
	}
	v := binary.LittleEndian.Uint32(b)
	switch {
	case f.bits == 12 && at%2 == 1:
		v >>= 4
	case f.bits == 12:
		v &= 0xfff
	}
	return v & 0x0fffffff, nil
}

// shortName is an entry's name of 8 and 3 letters, which Linux and Windows NT write small where two bits say so.
func shortName(e []byte) string {
	base, ext := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
	if e[12]&0x08 != 0 {
		base = strings.ToLower(base)
	}
	if e[12]&0x10 != 0 {
		ext = strings.ToLower(ext)
	}
	if ext != "" {
		base += "." + ext
	}
	return base
}

// longName is a name that is spread over the entries before its own, the last part first.
type longName struct {
	units []uint16
	want  byte // the number of the part that comes next
	sum   byte // of the short name that it belongs to
}

func (l *longName) addPart(e []byte) {
	n := e[0] & 0x3f
	if e[0]&0x40 != 0 {
		*l = longName{want: n, sum: e[13]}
	}
	if n == 0 || n > 20 || n != l.want || e[13] != l.sum {
		*l = longName{}
		return
	}
	var part []uint16
	for _, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		part = append(part, binary.LittleEndian.Uint16(e[at:]))
	}
	l.units, l.want = append(part, l.units...), n-1
}

// nameFor is the long name, if it is complete and its checksum is that of the entry's short name; else "".
func (l *longName) nameFor(e []byte) string {
	sum := byte(0)
	for _, c := range e[:11] {
		sum = sum>>1 | sum<<7
		sum += c
	}
	if l.want != 0 || len(l.units) == 0 || sum != l.sum {
		return ""
	}
	for i, u := range l.units {
		if u == 0 {
			return string(utf16.Decode(l.units[:i]))
		}
	}
	return string(utf16.Decode(l.units))
}
