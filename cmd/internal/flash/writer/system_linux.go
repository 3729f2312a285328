package writer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// What of disks is Linux's alone. Devices run it; elsewhere it only has to compile (system_other.go).

// directFlag is the flag with which reads and writes go past the page cache (open(2)).
const directFlag = unix.O_DIRECT

// sectorSize is a block device's logical block in bytes (BLKSSZGET).
func sectorSize(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.BLKSSZGET) }

// dropCached lets the page cache forget n bytes of a file.
func dropCached(fd int, off, n int64) error { return unix.Fadvise(fd, off, n, unix.FADV_DONTNEED) }

// rereadTable has the kernel read a device's partition table again.
func rereadTable(fd int) error { return unix.IoctlSetInt(fd, unix.BLKRRPART, 0) }

// zeroOut has the kernel zero n bytes of a device (include/uapi/linux/fs.h).
func zeroOut(fd uintptr, off, n int64) error {
	span := [2]uint64{uint64(off), uint64(n)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.BLKZEROOUT, uintptr(unsafe.Pointer(&span))); errno != 0 {
		return errno
	}
	return nil
}

// freeMemory is in bytes; 0 if it is not known. sysinfo(2) counts no page that could be given up.
func freeMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Freeram) * int64(info.Unit)
}
