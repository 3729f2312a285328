# shellcheck shell=sh
# What blkid(8) recognises on a disk and its partitions: a line "device PATH" each, then NAME=VALUE.
#
#   partitions.sh DISK

udevadm settle --timeout=10 >/dev/null 2>&1
echo "device $1"
blkid -p -o export "$1" 2>/dev/null
name=${1##*/}
for part in "/sys/class/block/$name/$name"*; do
	[ -d "$part" ] || continue
	echo "device /dev/${part##*/}"
	blkid -p -o export "/dev/${part##*/}" 2>/dev/null
done
exit 0
