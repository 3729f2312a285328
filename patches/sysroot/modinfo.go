package sysroot

import (
	"errors"
	"fmt"
	"strings"
)

// Modinfo is what a kernel module says of itself in its .modinfo section, as
// modinfo(8) shows it. Names of modules have "_" for every "-".
type Modinfo struct {
	Name     string   // empty in modules of kernels before 4.12
	Vermagic string   // the kernel it is for and its options, separated by blanks
	Depends  []string // modules whose symbols it uses
	Pre      []string // soft dependencies, to be loaded before it
	Post     []string // and after it
	Firmware []string // files that it asks the kernel for; names, or patterns of glob(7)
	Aliases  []string // what it is for: "pci:v00008086d*", "usb:*"
}

// ParseModinfo reads a kernel module, plain or compressed with gzip, xz or zstd
// (told by its first bytes). name is for messages only.
func ParseModinfo(name string, b []byte) (Modinfo, error) {
	plain, err := UnpackModule(name, b)
	if err != nil {
		return Modinfo{}, err
	}
	m, err := parseModinfo(plain)
	if err != nil {
		return Modinfo{}, fmt.Errorf("reading module %s: %w", showName(name), err)
	}
	return m, nil
}

// UnpackModule is a kernel module as the kernel has it in memory.
func UnpackModule(name string, b []byte) ([]byte, error) {
	plain, err := unpackBytes(b, fileLimit)
	if err != nil {
		return nil, fmt.Errorf("reading module %s: %w", showName(name), err)
	}
	return plain, nil
}

// maxModinfo bounds how many values a module has, of all kinds: drivers of many devices have some thousand.
const maxModinfo = 64 << 10

func parseModinfo(plain []byte) (Modinfo, error) {
	var m Modinfo
	f, err := parseELF(plain)
	if err != nil {
		return m, err
	}
	section, err := f.sectionBytes(".modinfo")
	if err != nil {
		return m, err
	}
	if section == nil {
		return m, errors.New("no .modinfo section")
	}
	for field := range strings.SplitSeq(string(section), "\x00") {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "name":
			m.Name = moduleName(value)
		case "vermagic":
			m.Vermagic = value
		case "depends":
			for dep := range strings.SplitSeq(value, ",") {
				if dep != "" && len(m.Depends) <= maxModinfo {
					m.Depends = append(m.Depends, moduleName(dep))
				}
			}
		case "softdep":
			m.readSoftDeps(value)
		case "firmware":
			if firmwareName(value) {
				m.Firmware = append(m.Firmware, value)
			}
		case "alias":
			m.Aliases = append(m.Aliases, value)
		}
		if len(m.Depends)+len(m.Pre)+len(m.Post)+len(m.Firmware)+len(m.Aliases) > maxModinfo {
			return Modinfo{}, fmt.Errorf("it says more than %d things of itself", maxModinfo)
		}
	}
	return m, nil
}

// readSoftDeps reads "pre: a b post: c", the form of modprobe.d(5).
func (m *Modinfo) readSoftDeps(value string) {
	var list *[]string
	for word := range strings.FieldsSeq(value) {
		if len(m.Pre)+len(m.Post) > maxModinfo {
			return
		}
		switch {
		case word == "pre:":
			list = &m.Pre
		case word == "post:":
			list = &m.Post
		case list != nil:
			*list = append(*list, moduleName(word))
		}
	}
}

// moduleName is a module's name as the kernel has it: "-" and "_" are one to
// modprobe(8), and lsmod shows "_".
func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }
