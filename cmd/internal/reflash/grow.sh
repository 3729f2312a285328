# shellcheck shell=sh
# Have the ext4 of a partition fill it: checked first, as resize2fs(8) wants it.
#
#   grow.sh DISK PARTITION BYTES, behind writing.sh of package plain
#
# `writing` is there meanwhile: a filesystem that is half enlarged is never booted. It stays if the enlarging
# fails, and the disk is to be flashed again then. Exit 0 and "grown" on standard output: done.

run=${groundhog_root:-}/run/groundhog
disk=$1 part=$2 bytes=$3 id=$$.$(cut -d' ' -f1 /proc/uptime)
trap '' HUP PIPE # what has begun is brought to its end

refuse() {
	echo "$1" >&2
	unmark writing
	exit 1
}

udevadm settle --timeout=10 >/dev/null 2>&1
size() { blockdev --getsize64 "$part" 2>/dev/null; }
[ "$(size)" = "$bytes" ] || {
	blockdev --rereadpt "$disk"
	udevadm settle --timeout=10 >/dev/null 2>&1
}
mark writing grow || exit 1
[ ! -e "$run/leaving" ] || refuse "the boot is going on"
[ "$(size)" = "$bytes" ] || refuse "$part has $(size) bytes, not $bytes: the kernel keeps the old table"
type=$(blkid -p -s TYPE -o value "$part")
case $type in
ext[234]) ;;
*) refuse "$part has ${type:-no filesystem that blkid knows}, not ext4: its partition is enlarged, it is not" ;;
esac
said=$(e2fsck -f -p "$part" 2>&1)
[ $? -le 1 ] || refuse "e2fsck: $said"
said=$(resize2fs "$part" 2>&1) || {
	echo "resize2fs: $said" >&2
	exit 1
}
sync
dd if=/dev/null of="$part" conv=notrunc,fsync 2>/dev/null # sync(1) leaves what it wrote in the drive's cache
touch "$run/lease"
unmark writing
echo grown
