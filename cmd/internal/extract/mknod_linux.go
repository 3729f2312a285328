package extract

import (
	"golang.org/x/sys/unix"

	"groundhog/initrd"
)

// makeNode makes a device node, pipe or socket in the directory dir (mknodat(2)).
func makeNode(dir int, name string, mode uint32, d initrd.Device) error {
	return unix.Mknodat(dir, name, mode, int(unix.Mkdev(d.Major, d.Minor)))
}
