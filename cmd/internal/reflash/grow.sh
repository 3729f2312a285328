# shellcheck shell=sh
# Have the ext4 of a partition fill it: checked first, as resize2fs(8) wants it.
#
#   grow.sh DISK PARTITION BYTES RUN WHO, behind writing.sh of package plain
#
# RUN is which flash has written to the disk, "KIND ID"; WHO is for whoever finds the device taken. Nobody else flashes it meanwhile, nor has since.
# `writing` is there meanwhile: a filesystem that is half enlarged is never booted. It stays if the enlarging
# fails, and the disk is to be flashed again then. Exit 0 and "grown" on standard output: done.

run=${groundhog_root:-}/run/groundhog
disk=$1 part=$2 bytes=$3 by=$4 who=$5
id=${by#* } marked=
trap '' HUP PIPE # what has begun is brought to its end
trap 'rm -f "${claim-}"' EXIT

refuse() {
	echo "$1" >&2
	[ -z "$marked" ] || unmark writing
	exit 1
}

take_claim
grep -qxF "$by $disk" "$run/verified" 2>/dev/null || refuse "another flash has written to $disk since"
! grep -q " $disk\$" "$run/writing" 2>/dev/null || refuse "another flash has written to $disk since, and it is half written"
udevadm settle --timeout=10 >/dev/null 2>&1
size() { blockdev --getsize64 "$part" 2>/dev/null; }
[ "$(size)" = "$bytes" ] || {
	blockdev --rereadpt "$disk"
	udevadm settle --timeout=10 >/dev/null 2>&1
}
mark writing grow || exit 1
marked=yes
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
