package sysroot

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
)

// Bounds of one file's dynamic section: libraries it needs, bytes of a string.
const (
	maxNeeded = 1024
	maxString = 4095
)

// dynamicInfo is what ld.so(8) reads of a file before it looks for libraries.
type dynamicInfo struct {
	interp    string // PT_INTERP
	soname    string
	needed    []string
	rpath     []string // DT_RPATH, without meaning where there is a runpath
	runpath   []string // DT_RUNPATH
	noDefault bool     // DF_1_NODEFLIB
}

// readDynamic reads PT_INTERP and PT_DYNAMIC. A static program has neither.
func (f *elfFile) readDynamic() (dynamicInfo, error) {
	var d dynamicInfo
	segments, err := f.programHeaders()
	if err != nil {
		return d, err
	}
	for _, p := range segments {
		switch elf.ProgType(p.Type) {
		case elf.PT_INTERP:
			b, err := f.bytesAt(p.Off, p.Filesz)
			if err == nil {
				d.interp, err = cString(b)
			}
			if err != nil {
				return d, fmt.Errorf("program interpreter: %w", err)
			}
		case elf.PT_DYNAMIC:
			b, err := f.bytesAt(p.Off, p.Filesz)
			if err == nil {
				err = f.readDynEntries(b, segments, &d)
			}
			if err != nil {
				return d, fmt.Errorf("dynamic section: %w", err)
			}
		}
	}
	return d, nil
}

// readDynEntries reads the dynamic entries in b, up to DT_NULL.
func (f *elfFile) readDynEntries(b []byte, segments []elf.Prog64, d *dynamicInfo) error {
	var tags []elf.Dyn64 // those with strings
	var strtab uint64
	for {
		e, rest, ok := f.firstDynEntry(b)
		if !ok || elf.DynTag(e.Tag) == elf.DT_NULL {
			break
		}
		b = rest
		switch elf.DynTag(e.Tag) {
		case elf.DT_STRTAB:
			strtab = e.Val
		case elf.DT_FLAGS_1:
			d.noDefault = elf.DynFlag1(e.Val)&elf.DF_1_NODEFLIB != 0
		case elf.DT_NEEDED, elf.DT_SONAME, elf.DT_RPATH, elf.DT_RUNPATH:
			if tags = append(tags, e); len(tags) > maxNeeded {
				return fmt.Errorf("more than %d libraries", maxNeeded)
			}
		}
	}
	if len(tags) == 0 {
		return nil
	}
	table, err := f.loadedBytes(strtab, segments)
	if err != nil {
		return err
	}
	for _, e := range tags {
		if e.Val >= uint64(len(table)) {
			return fmt.Errorf("string at %#x lies outside the file", e.Val)
		}
		s, err := cString(table[e.Val:])
		if err != nil {
			return err
		}
		d.setString(elf.DynTag(e.Tag), s)
	}
	return nil
}

func (d *dynamicInfo) setString(tag elf.DynTag, s string) {
	switch tag {
	case elf.DT_NEEDED:
		d.needed = append(d.needed, s)
	case elf.DT_SONAME:
		d.soname = s
	case elf.DT_RPATH:
		d.rpath = strings.Split(s, ":")
	case elf.DT_RUNPATH:
		d.runpath = strings.Split(s, ":")
	}
}

// firstDynEntry is the first dynamic entry in b, widened, and what follows it.
func (f *elfFile) firstDynEntry(b []byte) (e elf.Dyn64, rest []byte, ok bool) {
	if f.is64Bit() {
		if len(b) < 16 {
			return e, nil, false
		}
		return elf.Dyn64{Tag: int64(f.order.Uint64(b)), Val: f.order.Uint64(b[8:])}, b[16:], true
	}
	if len(b) < 8 {
		return e, nil, false
	}
	return elf.Dyn64{Tag: int64(int32(f.order.Uint32(b))), Val: uint64(f.order.Uint32(b[4:]))}, b[8:], true
}

// loadedBytes is the file's content from an address on, to the end of its segment.
func (f *elfFile) loadedBytes(addr uint64, segments []elf.Prog64) ([]byte, error) {
	for _, p := range segments {
		if elf.ProgType(p.Type) == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			b, err := f.bytesAt(p.Off, p.Filesz)
			if err != nil {
				return nil, err
			}
			return b[addr-p.Vaddr:], nil
		}
	}
	return nil, fmt.Errorf("address %#x is in no segment", addr)
}

// cString is the string at the start of b, which must end with a zero byte.
func cString(b []byte) (string, error) {
	i := bytes.IndexByte(b[:min(len(b), maxString+1)], 0)
	if i < 0 {
		return "", errors.New("string without an end")
	}
	return string(b[:i]), nil
}
