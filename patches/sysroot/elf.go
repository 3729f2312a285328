package sysroot

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// fileLimit is the size, in bytes, above which an ELF file is not read.
const fileLimit = 256 << 20

var errNoELF = errors.New("no ELF file")

// An elfFile is an ELF file (elf(5)) in memory, read as the loader reads it: by the
// program headers. debug/elf gives the layouts and constants but not the rest: it
// reads dynamic entries by section, which a stripped file need not have, drops the
// header's flags, which tell armhf from armel, and copies a section's name once for
// every section, so that a small hostile file can fill the memory.
type elfFile struct {
	b     []byte
	order binary.ByteOrder
	elf.Header64
}

func parseELF(b []byte) (*elfFile, error) {
	if len(b) < elf.EI_NIDENT || string(b[:4]) != elf.ELFMAG {
		return nil, errNoELF
	}
	f := &elfFile{b: b}
	switch elf.Data(b[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		f.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		f.order = binary.BigEndian
	default:
		return nil, fmt.Errorf("unknown ELF byte order %d", b[elf.EI_DATA])
	}
	var err error
	switch elf.Class(b[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		_, err = binary.Decode(b, f.order, &f.Header64)
	case elf.ELFCLASS32:
		var h elf.Header32
		_, err = binary.Decode(b, f.order, &h)
		f.Header64 = elf.Header64{Ident: h.Ident, Type: h.Type, Machine: h.Machine, Flags: h.Flags,
			Phoff: uint64(h.Phoff), Phentsize: h.Phentsize, Phnum: h.Phnum,
			Shoff: uint64(h.Shoff), Shentsize: h.Shentsize, Shnum: h.Shnum, Shstrndx: h.Shstrndx}
	default:
		return nil, fmt.Errorf("unknown ELF class %d", b[elf.EI_CLASS])
	}
	if err != nil {
		return nil, errors.New("cut ELF header")
	}
	return f, nil
}

func (f *elfFile) is64Bit() bool { return elf.Class(f.Ident[elf.EI_CLASS]) == elf.ELFCLASS64 }

// bytesAt is n bytes at an offset, or an error if the file does not hold them.
func (f *elfFile) bytesAt(off, n uint64) ([]byte, error) {
	if size := uint64(len(f.b)); off > size || n > size-off {
		return nil, fmt.Errorf("%d bytes at offset %#x lie outside the file", n, off)
	}
	return f.b[off : off+n], nil
}

// programHeaders are the program headers, 32-bit ones widened.
func (f *elfFile) programHeaders() ([]elf.Prog64, error) {
	size := uint64(binary.Size(elf.Prog64{}))
	if !f.is64Bit() {
		size = uint64(binary.Size(elf.Prog32{}))
	}
	if f.Phnum > 0 && uint64(f.Phentsize) != size {
		return nil, fmt.Errorf("program headers of %d bytes", f.Phentsize)
	}
	table, err := f.bytesAt(f.Phoff, uint64(f.Phnum)*size)
	if err != nil {
		return nil, fmt.Errorf("program headers: %w", err)
	}
	list := make([]elf.Prog64, f.Phnum)
	if f.is64Bit() {
		_, err = binary.Decode(table, f.order, list)
		return list, err
	}
	narrow := make([]elf.Prog32, f.Phnum)
	if _, err := binary.Decode(table, f.order, narrow); err != nil {
		return nil, err
	}
	for i, p := range narrow {
		list[i] = elf.Prog64{Type: p.Type, Flags: p.Flags, Off: uint64(p.Off), Vaddr: uint64(p.Vaddr),
			Filesz: uint64(p.Filesz), Memsz: uint64(p.Memsz)}
	}
	return list, nil
}

// sectionBytes is the content of the first section with that name, nil if there is none.
func (f *elfFile) sectionBytes(name string) ([]byte, error) {
	size := binary.Size(elf.Section64{})
	if !f.is64Bit() {
		size = binary.Size(elf.Section32{})
	}
	if f.Shnum > 0 && int(f.Shentsize) != size {
		return nil, fmt.Errorf("section headers of %d bytes", f.Shentsize)
	}
	table, err := f.bytesAt(f.Shoff, uint64(f.Shnum)*uint64(size))
	if err != nil {
		return nil, fmt.Errorf("section headers: %w", err)
	}
	if f.Shstrndx >= f.Shnum {
		return nil, nil
	}
	names, err := f.sectionData(table[int(f.Shstrndx)*size:])
	if err != nil {
		return nil, err
	}
	want := append([]byte(name), 0)
	for ; len(table) > 0; table = table[size:] {
		start := uint64(f.order.Uint32(table)) // sh_name comes first in both classes
		if start < uint64(len(names)) && bytes.HasPrefix(names[start:], want) {
			return f.sectionData(table)
		}
	}
	return nil, nil
}

// sectionData is what the first header of a table describes.
func (f *elfFile) sectionData(header []byte) ([]byte, error) {
	var s elf.Section64
	if f.is64Bit() {
		if _, err := binary.Decode(header, f.order, &s); err != nil {
			return nil, err
		}
	} else {
		var n elf.Section32
		if _, err := binary.Decode(header, f.order, &n); err != nil {
			return nil, err
		}
		s = elf.Section64{Type: n.Type, Flags: uint64(n.Flags), Off: uint64(n.Off), Size: uint64(n.Size)}
	}
	if elf.SectionFlag(s.Flags)&elf.SHF_COMPRESSED != 0 || elf.SectionType(s.Type) == elf.SHT_NOBITS {
		return nil, errors.New("section without plain content")
	}
	return f.bytesAt(s.Off, s.Size)
}
