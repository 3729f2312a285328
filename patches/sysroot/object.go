package sysroot

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
)

// maxSymbols bounds how many symbols a module has; the kernel's largest have some ten thousand.
const maxSymbols = 1 << 20

// A ModuleObject is what depmod(8) reads in a kernel module.
type ModuleObject struct {
	Fields  []string // "key=value", of .modinfo
	Exports []string // symbols that other modules may use
	Imports []string // symbols that it needs, of the kernel or of other modules; some may be there twice
}

// ParseModuleObject reads a kernel module as it is in memory (see [UnpackModule]).
func ParseModuleObject(plain []byte) (ModuleObject, error) {
	var o ModuleObject
	f, err := parseELF(plain)
	if err != nil {
		return o, err
	}
	sections := map[string][]byte{}
	for _, name := range []string{".modinfo", ".symtab", ".strtab", "__ksymtab_strings", "__versions"} {
		if sections[name], err = f.sectionBytes(name); err != nil {
			return o, err
		}
	}
	if o.Fields, err = zeroEnded(sections[".modinfo"], maxModinfo); err != nil {
		return o, err
	}
	symbols, err := f.symbols(sections[".symtab"], sections[".strtab"])
	if err != nil {
		return o, err
	}
	needed := map[string]bool{}
	for _, s := range symbols {
		if name, is := strings.CutPrefix(s.name, "__crc_"); is {
			o.Exports = append(o.Exports, name)
		}
		if s.section == elf.SHN_UNDEF && s.name != "" {
			o.Imports, needed[s.name] = append(o.Imports, s.name), true
		}
	}
	if len(o.Exports) == 0 { // a kernel without CONFIG_MODVERSIONS
		if o.Exports, err = zeroEnded(sections["__ksymtab_strings"], maxSymbols); err != nil {
			return o, err
		}
	}
	if sections[".symtab"] == nil { // depmod wants that table before it looks at the other
		return o, nil
	}
	for _, name := range f.versions(sections["__versions"]) {
		if !needed[name] {
			o.Imports = append(o.Imports, name)
		}
	}
	return o, nil
}

// zeroEnded is the texts in a section, each ended by zeros.
func zeroEnded(section []byte, most int) ([]string, error) {
	var all []string
	for len(section) > 0 {
		text, rest, _ := bytes.Cut(section, []byte{0})
		if len(text) > 0 {
			if len(all) == most {
				return nil, fmt.Errorf("it says more than %d things of itself", most)
			}
			all = append(all, string(text))
		}
		section = rest
	}
	return all, nil
}

type elfSymbol struct {
	name    string
	section elf.SectionIndex
}

// symbols are the entries of a symbol table that say what a module needs (undefined ones) and exports (__crc_NAME).
func (f *elfFile) symbols(table, names []byte) ([]elfSymbol, error) {
	size, sectionAt := elf.Sym64Size, 6
	if !f.is64Bit() {
		size, sectionAt = elf.Sym32Size, 14
	}
	if len(table)%size != 0 {
		return nil, errors.New("a symbol table that is cut")
	}
	var all []elfSymbol
	for len(table) > size {
		table = table[size:]
		start := uint64(f.order.Uint32(table)) // st_name comes first in both classes
		section := elf.SectionIndex(f.order.Uint16(table[sectionAt:]))
		if start >= uint64(len(names)) {
			return nil, errors.New("a symbol whose name lies outside the file")
		}
		if section != elf.SHN_UNDEF && !bytes.HasPrefix(names[start:], []byte("__crc_")) {
			continue
		}
		if len(all) == maxSymbols {
			return nil, fmt.Errorf("more than %d symbols", maxSymbols)
		}
		name, _, _ := bytes.Cut(names[start:], []byte{0})
		all = append(all, elfSymbol{string(name), section})
	}
	return all, nil
}

// versions are the names in a table of symbol versions (struct modversion_info of linux/module.h): a long, and a name in what is
// left of 64 bytes.
func (f *elfFile) versions(table []byte) []string {
	size, nameAt := 64, 8
	if !f.is64Bit() {
		nameAt = 4
	}
	if len(table)%size != 0 {
		return nil
	}
	var all []string
	for ; len(table) > 0; table = table[size:] {
		name, _, _ := bytes.Cut(table[nameAt:size], []byte{0})
		all = append(all, string(name))
	}
	return all
}
