// Package kexec starts the kernel that runs once more, with another initramfs, without the firmware and the boot loader, and without a
// byte on any disk: whenever the power is cut, the next boot is the ordinary one. From the waiting initramfs it starts another kernel, that of
// the system which was just written to the disk. It is the device's half, in groundhog-writer.
//
// The kernel itself loads both (kexec_file_load(2)), so that neither kexec-tools nor its rules of what is signed are needed: under
// Secure Boot it takes a kernel that is signed, and an initramfs that is not. Debian's kernels for amd64 have that system call, those
// for arm64 do not.
//
// A loaded kernel must not be left behind, because systemd would turn the next reboot into a kexec of it. So [Machine.Load] unloads it
// unless it is told to start it.
package kexec
