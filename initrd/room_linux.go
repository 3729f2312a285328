package initrd

import "golang.org/x/sys/unix"

// mapLarge asks for pages of 2 MiB (madvise(2)).
func mapLarge(b []byte) { unix.Madvise(b, unix.MADV_HUGEPAGE) }
