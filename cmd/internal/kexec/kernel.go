package kexec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Offsets in a bzImage (kernel: Documentation/arch/x86/boot.rst).
const (
	headerMagic    = 0x202 // "HdrS"
	versionPointer = 0x20e // of 2 bytes: where the version's text is, from 0x200 on
	setupSize      = 0x200
)

// maxVersion is more than any version's text has, in bytes.
const maxVersion = 512

// errNoKernel says that a file is no bzImage.
var errNoKernel = errors.New("no Linux kernel in the bzImage format")

// Version is the text in a kernel's file that says which one it is:
// "6.1.0-56-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)".
func Version(kernel io.ReaderAt) (string, error) {
	head := make([]byte, versionPointer+2)
	if _, err := kernel.ReadAt(head, 0); err != nil || string(head[headerMagic:headerMagic+4]) != "HdrS" {
		return "", errNoKernel
	}
	at := binary.LittleEndian.Uint16(head[versionPointer:])
	if at == 0 {
		return "", fmt.Errorf("%w that says its version", errNoKernel)
	}
	text := make([]byte, maxVersion)
	n, _ := kernel.ReadAt(text, int64(at)+setupSize)
	text, _, ended := bytes.Cut(text[:n], []byte{0})
	if !ended {
		return "", fmt.Errorf("%w that says its version", errNoKernel)
	}
	return string(text), nil
}

// isRunningKernel reports whether a kernel file's version is that of the kernel that runs: the release as uname -r has it, and the
// build as uname -v. An upgrade within one release changes only the latter.
func isRunningKernel(version, release, build string) bool {
	return strings.HasPrefix(version, release+" ") && strings.HasSuffix(version, ") "+build)
}
