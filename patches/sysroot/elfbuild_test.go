package sysroot

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// An object file of ours, small but whole: 64-bit little-endian unless told.
type objectSpec struct {
	machine        elf.Machine
	interp, soname string
	needed         []string
	rpath, runpath string
	flags1         uint64
	modinfo        string // makes it a kernel module
}

func (s objectSpec) bytes() []byte {
	if s.machine == 0 {
		s.machine = elf.EM_X86_64
	}
	if s.modinfo != "" {
		return s.module()
	}
	strings := []byte{0}
	var dyn []elf.Dyn64
	add := func(tag elf.DynTag, text string) {
		if text != "" {
			dyn = append(dyn, elf.Dyn64{Tag: int64(tag), Val: uint64(len(strings))})
			strings = append(append(strings, text...), 0)
		}
	}
	for _, n := range s.needed {
		add(elf.DT_NEEDED, n)
	}
	add(elf.DT_SONAME, s.soname)
	add(elf.DT_RPATH, s.rpath)
	add(elf.DT_RUNPATH, s.runpath)
	const heads, base = 64 + 3*56, 0x10000
	dyn = append(dyn, elf.Dyn64{Tag: int64(elf.DT_FLAGS_1), Val: s.flags1},
		elf.Dyn64{Tag: int64(elf.DT_STRTAB)}, elf.Dyn64{})
	dynSize := uint64(16 * len(dyn))
	dyn[len(dyn)-2].Val = base + heads + dynSize
	interpOff := heads + dynSize + uint64(len(strings))
	size := interpOff + uint64(len(s.interp)) + 1
	progs := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Vaddr: base, Filesz: size, Memsz: size},
		{Type: uint32(elf.PT_DYNAMIC), Off: heads, Vaddr: base + heads, Filesz: dynSize},
		{Type: uint32(elf.PT_NOTE)},
	}
	if s.interp != "" {
		progs[2] = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: interpOff, Filesz: uint64(len(s.interp)) + 1}
	}
	head := s.header(elf.ET_DYN)
	head.Phoff, head.Phentsize, head.Phnum = 64, 56, 3
	return encode(head, progs, dyn, strings, []byte(s.interp), []byte{0})
}

func (s objectSpec) module() []byte {
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	info, size := []byte(s.modinfo), uint64(len(s.modinfo))
	head := s.header(elf.ET_REL)
	head.Shoff, head.Shentsize, head.Shnum, head.Shstrndx = 64, 64, 3, 2
	const content = 64 + 3*64
	sections := []elf.Section64{{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: content, Size: size, Addralign: 1},
		{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: content + size, Size: uint64(len(names)), Addralign: 1}}
	return encode(head, sections, info, names)
}

func (s objectSpec) header(typ elf.Type) elf.Header64 {
	h := elf.Header64{Type: uint16(typ), Machine: uint16(s.machine), Version: 1, Ehsize: 64}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	return h
}

func encode(parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		if err := binary.Write(&b, binary.LittleEndian, p); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}
