package manifest

import (
	"path"

	"groundhog/initrd/debian"
)

// generatedFile is a pattern of paths, and who makes the files there.
type generatedFile struct{ pattern, by string }

// generatedFiles lists by [Source] the files that are made while it is built. It is asked only about files whose content no
// package has. In a root tree mkinitramfs and its hooks make nothing, so that etc/passwd there is not theirs, but dpkg keeps its
// records. The scripts of packages, in var/lib/dpkg/info as well, are not among these: they run, and no record says what they should be.
var generatedFiles = map[Source][]generatedFile{Initramfs: generatedInArchives, Root: generatedInTrees}

var generatedInTrees = []generatedFile{
	{"bin", "usrmerge"}, {"sbin", "usrmerge"}, {"lib", "usrmerge"}, {"lib32", "usrmerge"},
	{"lib64", "usrmerge"}, {"libx32", "usrmerge"},
	{"etc/ld.so.cache", "ldconfig"},
	{"usr/lib/modules/*/modules.*", "depmod"},
	{"usr/lib/udev/hwdb.bin", "systemd-hwdb"},
	{"etc/udev/hwdb.bin", "systemd-hwdb"},
	{"etc/dropbear/dropbear_*_host_key", "dropbearkey"},
	{"var/lib/dpkg/status", "dpkg"}, {"var/lib/dpkg/status-old", "dpkg"},
	{"var/lib/dpkg/info/*.list", "dpkg"}, {"var/lib/dpkg/info/*.md5sums", "dpkg"},
	{"var/log/dpkg.log", "dpkg"},
}

var generatedInArchives = []generatedFile{
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

// generatorOf is who makes the file at a path while what the manifest describes is built, or "".
func generatorOf(of Source, name string) string {
	merged := debian.MergedUsr(name)
	for _, g := range generatedFiles[of] {
		if ok, _ := path.Match(g.pattern, merged); ok || g.pattern == name {
			return g.by
		}
	}
	return ""
}
