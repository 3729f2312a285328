package sysroot

import (
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
)

// Flags of a 32-bit ARM file's header: which float calling convention it uses.
const (
	armSoftFloat = 0x200
	armHardFloat = 0x400
)

// A machine is one of Debian's architectures.
type machine struct {
	arch     string // as dpkg --print-architecture says
	elf      elf.Machine
	wide     bool
	data     elf.Data
	triplet  string // of its library directories
	platform string // $PLATFORM, "" where it depends on the processor
}

var machines = []machine{
	{"amd64", elf.EM_X86_64, true, elf.ELFDATA2LSB, "x86_64-linux-gnu", "x86_64"},
	{"i386", elf.EM_386, false, elf.ELFDATA2LSB, "i386-linux-gnu", "i686"},
	{"arm64", elf.EM_AARCH64, true, elf.ELFDATA2LSB, "aarch64-linux-gnu", "aarch64"},
	{"armhf", elf.EM_ARM, false, elf.ELFDATA2LSB, "arm-linux-gnueabihf", ""},
	{"armel", elf.EM_ARM, false, elf.ELFDATA2LSB, "arm-linux-gnueabi", ""},
	{"riscv64", elf.EM_RISCV, true, elf.ELFDATA2LSB, "riscv64-linux-gnu", ""},
	{"ppc64el", elf.EM_PPC64, true, elf.ELFDATA2LSB, "powerpc64le-linux-gnu", ""},
	{"s390x", elf.EM_S390, true, elf.ELFDATA2MSB, "s390x-linux-gnu", ""},
}

func (f *elfFile) architecture() (machine, error) {
	for _, m := range machines {
		if m.elf != elf.Machine(f.Machine) || m.wide != f.wide() || m.data != elf.Data(f.Ident[elf.EI_DATA]) {
			continue
		}
		if m.arch == "armhf" && f.Flags&armHardFloat == 0 {
			continue
		}
		return m, nil
	}
	return machine{}, fmt.Errorf("%v, %v, is no architecture of Debian's known here",
		elf.Machine(f.Machine), elf.Class(f.Ident[elf.EI_CLASS]))
}

// fits reports whether the loader would put a library into the same process.
func (f *elfFile) fits(lib *elfFile) bool {
	const float = armSoftFloat | armHardFloat
	clash := elf.Machine(f.Machine) == elf.EM_ARM &&
		f.Flags&float != 0 && lib.Flags&float != 0 && f.Flags&float != lib.Flags&float
	return f.Machine == lib.Machine && f.wide() == lib.wide() &&
		f.Ident[elf.EI_DATA] == lib.Ident[elf.EI_DATA] && !clash
}

// witnesses are programs of which a tree has at least one: a whole system the
// first, a few packages laid together perhaps only a later one.
var witnesses = []string{
	"usr/bin/dpkg", "bin/sh", "bin/bash", "bin/busybox", "bin/ls", "usr/bin/env", "sbin/init",
	"lib/systemd/systemd", "usr/sbin/dropbear", "usr/bin/curl",
}

// Arch returns the tree's architecture as dpkg(1) names it: amd64, i386, arm64,
// armhf, armel, riscv64, ppc64el or s390x. It is read from the ELF header of the
// first program that is there of a few that every system has.
func Arch(fsys fs.FS) (string, error) {
	for _, name := range witnesses {
		at, err := Find(fsys, name)
		if err != nil {
			if absent(err) {
				continue
			}
			return "", fmt.Errorf("finding the architecture: %w", err)
		}
		b, err := readHead(fsys, at, 64)
		if err != nil {
			return "", fmt.Errorf("finding the architecture: %w", err)
		}
		f, err := parseELF(b)
		if err != nil {
			continue // a script, perhaps
		}
		m, err := f.architecture()
		if err != nil {
			return "", fmt.Errorf("finding the architecture: %s: %w", at, err)
		}
		return m.arch, nil
	}
	return "", fmt.Errorf("finding the architecture: %w",
		&NotFound{Name: "a program such as " + witnesses[0], Layers: layersOf(fsys)})
}

// readHead reads at most n bytes of a regular file.
func readHead(fsys fs.FS, name string, n int64) ([]byte, error) {
	f, err := openRegular(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}
