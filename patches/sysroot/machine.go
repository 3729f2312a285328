package sysroot

import (
	"debug/elf"
	"fmt"
	"io"
	"io/fs"

	"groundhog/initrd/debian"
)

// armSoftFloat is the flag of a 32-bit ARM file's header that names the other
// float calling convention ([debian.ARMHardFloat]).
const armSoftFloat = 0x200

// loaderPlatforms is $PLATFORM of the loader; it is missing where it depends on the
// processor.
var loaderPlatforms = map[string]string{"amd64": "x86_64", "i386": "i686", "arm64": "aarch64"}

func (f *elfFile) debianMachine() (debian.Machine, error) {
	if m, ok := debian.MachineOf(elf.Machine(f.Machine), elf.Class(f.Ident[elf.EI_CLASS]), elf.Data(f.Ident[elf.EI_DATA]), f.Flags); ok {
		return m, nil
	}
	return debian.Machine{}, fmt.Errorf("%v, %v, is no architecture of Debian's known here",
		elf.Machine(f.Machine), elf.Class(f.Ident[elf.EI_CLASS]))
}

// takesLibrary reports whether the loader would put a library into the same process.
func (f *elfFile) takesLibrary(lib *elfFile) bool {
	const float = armSoftFloat | debian.ARMHardFloat
	clash := elf.Machine(f.Machine) == elf.EM_ARM &&
		f.Flags&float != 0 && lib.Flags&float != 0 && f.Flags&float != lib.Flags&float
	return f.Machine == lib.Machine && f.is64Bit() == lib.is64Bit() &&
		f.Ident[elf.EI_DATA] == lib.Ident[elf.EI_DATA] && !clash
}

// Arch returns the tree's architecture as dpkg(1) names it, "amd64". It is read from the ELF header of the
// first program that is there of a few that every system has.
func Arch(fsys fs.FS) (string, error) {
	for _, name := range debian.Witnesses {
		at, err := Find(fsys, name)
		if err != nil {
			if isAbsent(err) {
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
		m, err := f.debianMachine()
		if err != nil {
			return "", fmt.Errorf("finding the architecture: %s: %w", at, err)
		}
		return m.Arch, nil
	}
	return "", fmt.Errorf("finding the architecture: %w",
		&NotFound{Name: "a program such as " + debian.Witnesses[0], Layers: layersOf(fsys)})
}

// ProgramArch is the architecture that a program is made for, "" of a script, and of what is of none that is known here.
func ProgramArch(fsys fs.FS, name string) (string, error) {
	at, err := Resolve(fsys, name)
	if err != nil {
		return "", err
	}
	b, err := readHead(fsys, at, 64)
	if err != nil {
		return "", err
	}
	f, err := parseELF(b)
	if err != nil {
		return "", nil
	}
	m, _ := f.debianMachine()
	return m.Arch, nil
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
