package manifest

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dropbear"

	"golang.org/x/crypto/ssh"
)

// readFS is the part of a tree that the questions below need: an archive or a
// root tree.
type readFS interface {
	ReadFile(name string) ([]byte, error)
}

// Where dropbear's keys lie: in an archive the first of each, in a root tree the
// others, by release.
var (
	hostKeyPaths = []string{"etc/dropbear/dropbear_*_host_key",
		"etc/dropbear/initramfs/dropbear_*_host_key", "etc/dropbear-initramfs/dropbear_*_host_key"}
	authorizedKeyPaths = []string{"root/.ssh/authorized_keys",
		"etc/dropbear/initramfs/authorized_keys", "etc/dropbear-initramfs/authorized_keys"}
)

// identify says, once the entries are known, which machine they are for and who
// may log in to it.
func (m *Manifest) identify(files readFS) {
	m.Architecture = archConf(files)
	m.stable(files)
	home := path.Join(rootHome(files), ".ssh/authorized_keys")
	for i := range m.Entries {
		e := &m.Entries[i]
		name, err := UnescapePath(e.Path)
		if err != nil {
			continue
		}
		m.kernel(name, e.Type == Dir)
		if e.Type != File {
			m.Dropbear = m.Dropbear || e.Type == Symlink && isDropbear(name)
			continue
		}
		m.Dropbear = m.Dropbear || isDropbear(name)
		m.fromFile(files, name, home)
	}
}

func isDropbear(name string) bool { return mergedUsr(name) == "usr/sbin/dropbear" }

// fromFile draws from a file what its path promises.
func (m *Manifest) fromFile(files readFS, name, home string) {
	matches := func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }
	host := slices.ContainsFunc(hostKeyPaths, matches)
	authorized := name == home || slices.ContainsFunc(authorizedKeyPaths, matches)
	program := m.Architecture == "" && (strings.HasPrefix(name, "usr/bin/") || strings.HasPrefix(name, "bin/"))
	if !host && !authorized && !program {
		return
	}
	b, err := files.ReadFile(name)
	switch {
	case err != nil:
		m.problem("%s: %v", EscapePath(name), err)
	case host:
		m.hostKey(name, b)
	case authorized:
		m.authorizedKeys(name, b)
	default:
		m.Architecture = elfArch(b)
	}
}

// kernel notes a directory of modules.
func (m *Manifest) kernel(name string, dir bool) {
	if parent, base := path.Split(name); dir && (parent == "usr/lib/modules/" || parent == "lib/modules/") {
		m.Kernels = append(m.Kernels, EscapePath(base))
	}
}

// archConf is the architecture that mkinitramfs noted in conf/arch.conf.
func archConf(files readFS) string {
	b, _ := files.ReadFile("conf/arch.conf")
	for line := range strings.Lines(string(b)) {
		if arch, ok := strings.CutPrefix(strings.TrimSpace(line), "DPKG_ARCH="); ok && plainWord(arch) {
			return arch
		}
	}
	return ""
}

// elfArch is Debian's name of the architecture that an ELF file is for; "" of
// any other file.
func elfArch(b []byte) string {
	if len(b) < 52 || !bytes.HasPrefix(b, []byte(elf.ELFMAG)) {
		return ""
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	machine := elf.Machine(order.Uint16(b[18:]))
	switch {
	case machine == elf.EM_ARM && order.Uint32(b[36:])&0x400 != 0: // EF_ARM_ABI_FLOAT_HARD
		return "armhf"
	case machine == elf.EM_PPC64 && order != binary.LittleEndian:
		return "ppc64"
	}
	return map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_ARM: "armel",
		elf.EM_386: "i386", elf.EM_RISCV: "riscv64", elf.EM_PPC64: "ppc64el", elf.EM_S390: "s390x",
		elf.EM_LOONGARCH: "loong64"}[machine]
}

// plainWord accepts what an architecture or a release is called.
func plainWord(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// rootHome is root's home as etc/passwd has it, without a leading slash; in
// Debian's archives it is a random name.
func rootHome(files readFS) string {
	b, _ := files.ReadFile("etc/passwd")
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) == 7 && f[2] == "0" {
			return strings.TrimLeft(path.Clean("/"+f[5]), "/")
		}
	}
	return "root"
}

// stable hashes etc/passwd as it would be without the random name.
func (m *Manifest) stable(files readFS) {
	home := rootHome(files)
	i, ok := slices.BinarySearchFunc(m.Entries, "etc/passwd", func(e Entry, name string) int { return strings.Compare(e.Path, name) })
	if !ok || debian.StableHome(home) == "" || m.Entries[i].Type != File {
		return
	}
	if b, err := files.ReadFile("etc/passwd"); err == nil {
		sum := sha256.Sum256(bytes.ReplaceAll(b, []byte(home), []byte(debian.StableHome(home))))
		m.Entries[i].Stable = hex.EncodeToString(sum[:])
	}
}

func (m *Manifest) hostKey(name string, b []byte) {
	k, err := dropbear.ParseHostKey(b)
	if err != nil {
		m.problem("%s: %v", EscapePath(name), err)
		return
	}
	m.HostKeys = append(m.HostKeys, key(name, k.Public(), ""))
}

func (m *Manifest) authorizedKeys(name string, b []byte) {
	keys, problems, err := dropbear.ParseAuthorizedKeys(b)
	if err != nil {
		m.problem("%s: %v", EscapePath(name), err)
		return
	}
	for _, p := range problems {
		m.problem("%s: %s", EscapePath(name), p)
	}
	for _, k := range keys {
		m.AuthorizedKeys = append(m.AuthorizedKeys, key(name, k.Key, k.Comment))
	}
}

func key(name string, pub ssh.PublicKey, comment string) Key {
	bits, _, _ := strings.Cut(dropbear.Identity(pub, ""), " ")
	n, _ := strconv.Atoi(bits)
	return Key{Path: EscapePath(name), Type: pub.Type(), Bits: n,
		Fingerprint: dropbear.Fingerprint(pub), Comment: EscapePath(strings.TrimSpace(comment))}
}

// maxProblems bounds what a hostile archive can make us say.
const maxProblems = 100

func (m *Manifest) problem(format string, args ...any) {
	if len(m.Problems) < maxProblems {
		m.Problems = append(m.Problems, strings.ToValidUTF8(fmt.Sprintf(format, args...), "?"))
	}
}
