package manifest

import (
	"path"

	"groundhog/initrd/debian"
)

// generatedFiles lists the files that are made while an archive is built, and their
// makers. It is asked only about files whose content no package has.
var generatedFiles = []struct{ pattern, by string }{
	{"bin", "mkinitramfs"}, {"sbin", "mkinitramfs"}, {"lib", "mkinitramfs"}, {"lib32", "mkinitramfs"},
	{"lib64", "mkinitramfs"}, {"libx32", "mkinitramfs"}, // links into usr
	{"conf/arch.conf", "mkinitramfs"},
	{"conf/initramfs.conf", "mkinitramfs"},
	{"conf/modules", "mkinitramfs"},
	{"conf/param.conf", "mkinitramfs"},
	{"conf/conf.d/*", "mkinitramfs"},
	{"scripts/*/ORDER", "mkinitramfs"},
	{"etc/fstab", "mkinitramfs"},
	{"etc/mtab", "mkinitramfs"},
	{"etc/ld.so.cache", "ldconfig"},
	{"usr/lib/modules/*/modules.*", "depmod"},
	{"usr/lib/udev/hwdb.bin", "systemd-hwdb"},
	{"etc/udev/hwdb.bin", "systemd-hwdb"},
	{"etc/passwd", "hooks/dropbear"},
	{"etc/group", "hooks/dropbear"},
	{"etc/nsswitch.conf", "hooks/dropbear"},
	{"root-*/.ssh/authorized_keys", "hooks/dropbear"},
	{"etc/dropbear/dropbear_*_host_key", "dropbearkey"},
	{RecordPath, "groundhog"},
}

// generatorOf is who makes the file at a path while an archive is built, or "".
func generatorOf(name string) string {
	for _, g := range generatedFiles {
		if ok, _ := path.Match(g.pattern, debian.MergedUsr(name)); ok {
			return g.by
		}
		if g.pattern == name {
			return g.by
		}
	}
	return ""
}
