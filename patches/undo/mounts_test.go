package undo

import (
	"testing"

	"groundhog/fixtures/judge"
)

// A mount in a tree leads out where the same directory is reached from outside of it; a partition that is mounted in the tree and nowhere
// else does not.
func TestOutsideOf(t *testing.T) {
	const host = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /dev rw - devtmpfs udev rw
30 21 7:0 / /build/root rw - ext4 /dev/loop0 rw
31 30 7:1 / /build/root/boot rw - vfat /dev/loop1 rw
32 30 8:1 /srv/a\040b\134c /build/root/etc/initramfs-tools rw - ext4 /dev/sda1 rw
33 30 7:0 /usr/share /build/root/opt rw - ext4 /dev/loop0 rw
34 30 0:44 /@var /build/root/var rw - btrfs /dev/sdb rw
35 21 0:44 /@ /data rw - btrfs /dev/sdb rw
36 21 7:2 / /mnt/p2 rw - ext4 /dev/loop2 rw
37 30 7:2 / /build/root/usr rw - ext4 /dev/loop2 rw
38 30 0:5 / /build/root/dev rw - devtmpfs udev rw
39 30 8:1 /build/elsewhere/root2 /build/root/srv rw - ext4 /dev/sda1 rw
`
	all := judge.Value(readMounts(host))(t)
	for _, c := range []struct {
		id       int
		at, want string
	}{
		{31, "/build/root/boot/grub", ""},
		{32, "/build/root/etc/initramfs-tools", `/srv/a b\c`},
		{32, "/build/root/etc/initramfs-tools/conf.d", `/srv/a b\c/conf.d`},
		{33, "/build/root/opt/x", ""},
		{34, "/build/root/var/lib", ""},
		{37, "/build/root/usr/share", "/mnt/p2/share"},
		{38, "/build/root/dev/shm", "/dev/shm"},
		{39, "/build/root/srv", "/build/elsewhere/root2"},
		{99, "/build/root/srv", ""},
	} {
		if got := outsideOf(all, c.id, c.at, "/build/root"); got != c.want {
			t.Errorf("%s: %q, want %q", c.at, got, c.want)
		}
		if got := outsideOf(all, c.id, c.at, "/"); got != "" {
			t.Errorf("%s: %q is outside of /", c.at, got)
		}
	}
	for _, bad := range []string{"x", "1 2 3\n", "x 1 8:1 / / rw\n"} {
		if _, err := readMounts(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}
