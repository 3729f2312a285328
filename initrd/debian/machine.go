package debian

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd"
)

// Machine is one of Debian's architectures.
type Machine struct {
	Arch    string // as dpkg --print-architecture says
	ELF     elf.Machine
	Class   elf.Class
	Data    elf.Data
	Triplet string // of its library directories (dpkg-architecture(1), DEB_HOST_MULTIARCH)
}

var machines = []Machine{
	{"amd64", elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB, "x86_64-linux-gnu"},
	{"i386", elf.EM_386, elf.ELFCLASS32, elf.ELFDATA2LSB, "i386-linux-gnu"},
	{"arm64", elf.EM_AARCH64, elf.ELFCLASS64, elf.ELFDATA2LSB, "aarch64-linux-gnu"},
	{"armhf", elf.EM_ARM, elf.ELFCLASS32, elf.ELFDATA2LSB, "arm-linux-gnueabihf"},
	{"armel", elf.EM_ARM, elf.ELFCLASS32, elf.ELFDATA2LSB, "arm-linux-gnueabi"},
	{"riscv64", elf.EM_RISCV, elf.ELFCLASS64, elf.ELFDATA2LSB, "riscv64-linux-gnu"},
	{"ppc64el", elf.EM_PPC64, elf.ELFCLASS64, elf.ELFDATA2LSB, "powerpc64le-linux-gnu"},
	{"ppc64", elf.EM_PPC64, elf.ELFCLASS64, elf.ELFDATA2MSB, "powerpc64-linux-gnu"},
	{"s390x", elf.EM_S390, elf.ELFCLASS64, elf.ELFDATA2MSB, "s390x-linux-gnu"},
	{"loong64", elf.EM_LOONGARCH, elf.ELFCLASS64, elf.ELFDATA2LSB, "loongarch64-linux-gnu"},
}

// ARMHardFloat is the flag in a 32-bit ARM file's header that tells armhf from
// armel (EF_ARM_ABI_FLOAT_HARD).
const ARMHardFloat = 0x400

// MachineNamed is the machine with Debian's name arch.
func MachineNamed(arch string) (Machine, bool) {
	for _, m := range machines {
		if m.Arch == arch {
			return m, true
		}
	}
	return Machine{}, false
}

// otherPrograms is of which architectures' programs Debian's kernels for one run, too: those of 32 bits.
var otherPrograms = map[string][]string{"amd64": {"i386"}, "arm64": {"armhf", "armel"}, "armhf": {"armel"}}

// RunsProgram reports whether a system of an architecture runs programs that are made for another.
func RunsProgram(arch, program string) bool {
	return arch == program || slices.Contains(otherPrograms[arch], program)
}

// MachineOf is the machine of an ELF header: of its fields e_machine, e_ident and
// e_flags (elf(5)).
func MachineOf(machine elf.Machine, class elf.Class, data elf.Data, flags uint32) (Machine, bool) {
	for _, m := range machines {
		if m.ELF == machine && m.Class == class && m.Data == data && (m.Arch != "armhf" || flags&ARMHardFloat != 0) {
			return m, true
		}
	}
	return Machine{}, false
}

// machineOfFile is the machine that an ELF file is for, by the first 52 bytes of it.
func machineOfFile(head []byte) (Machine, bool) {
	if len(head) < 52 || !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return Machine{}, false
	}
	data := elf.Data(head[elf.EI_DATA])
	var order binary.ByteOrder = binary.LittleEndian
	if data == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	return MachineOf(elf.Machine(order.Uint16(head[18:])), elf.Class(head[elf.EI_CLASS]), data, order.Uint32(head[36:]))
}

// archName is how dpkg names architectures (Debian Policy, 5.6.8).
var archName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// archiveArch is the one that mkinitramfs noted, or else the one that the
// archive's programs are for.
func archiveArch(img *initrd.Image) string {
	if b, err := img.ReadFile("conf/arch.conf"); err == nil {
		s := newShell()
		s.sourceText("conf/arch.conf", b)
		if arch, _ := s.sourcedSettings().Get("DPKG_ARCH"); archName.MatchString(arch) {
			return arch
		}
	}
	for name, e := range img.Tree() {
		if e.IsFile() && (strings.HasPrefix(name, "usr/bin/") || strings.HasPrefix(name, "bin/")) {
			if m, ok := machineOfFile(img.Content(e)); ok {
				return m.Arch
			}
		}
	}
	return ""
}
