package index

import (
	"os"

	"golang.org/x/sys/unix"
)

// tryLease takes a lease for reading on a file and gives it back (fcntl(2)).
func tryLease(fd uintptr) error {
	_, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
	}
	return err
}

// fileHost is what matters of the filesystem that a file is on: in memory, on another machine.
type fileHost struct{ memory, remote bool }

// filesystemOf knows them by statfs(2)'s numbers (linux/magic.h, and each one's own source).
func filesystemOf(f *os.File) fileHost {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return fileHost{remote: true}
	}
	switch uint32(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.HUGETLBFS_MAGIC:
		return fileHost{memory: true}
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC,
		unix.AFS_FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.OCFS2_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
		0x01161970, 0x0bd00bd0, 0x47504653: // GFS2, Lustre, GPFS
		return fileHost{remote: true}
	}
	return fileHost{}
}
