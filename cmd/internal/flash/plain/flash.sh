# shellcheck shell=dash source=writing.sh
# The classic pipeline on a waiting device, for an archive without a writer: curl | decoder | dd. No stage's
# end is lost, the bytes are counted, and what is on the disk is read back and hashed before its first
# mebibyte, with the partition table, is written. Runs under busybox ash: no pipefail, no flock, and the dd of
# 2020 has no direct I/O, so the caches are dropped instead.
#
# Behind writing.sh, whose take_claim, mark and unmark it uses.
#
#   flash.sh DISK URL DECODER SIZE SHA256 WHO TAIL SESSION
#
# SIZE and SHA256 are of the decoded image. TAIL is a byte offset, a multiple of 512, where `tail` belongs.
# Beforehand in /run/groundhog/plain.in, where the table has to be put where this disk ends: `head`, which replaces
# the image's beginning, and `tail`. Each line on standard output is a word and its value; exit 0: verified,
# 1: refused, nothing written, 2: the disk is neither the old nor the new system.

: "${groundhog_root:=}"
disk=$1 url=$2 decoder=$3 size=$4 sum=$5 who=$6 tail=$7 id=$8
run=$groundhog_root/run/groundhog
lock=$run/plain
in=$run/plain.in
mib=1048576

# The connection may go: what has begun is brought to its end, and the device says so afterwards.
trap '' HUP PIPE
set -u

tell() { { printf '%s %s\n' "$1" "$2" | tee -a "$lock/log"; } 2>/dev/null; }

refuse() {
	printf '%s\n' "$1" >&2
	[ -z "${2-}" ] || rm -rf "$lock"
	rm -f "${claim-}"
	exit 1
}

fail() {
	tell failed "$1"
	printf '%s\n' "$1" >&2
	rm -f "$claim"
	exit 2
}

# take_lock: one flash at a time.
take_lock() {
	take_claim
	rm -rf "$lock"
	mkdir "$lock" || refuse "making $lock failed"
}

# in_use DISK: it or a part of it is mounted, swapped on, or held by LVM, md or dm.
in_use() {
	name=${1##*/}
	for part in "$groundhog_root/sys/class/block/$name" "$groundhog_root/sys/class/block/$name/$name"*; do
		[ -d "$part" ] || continue
		for held in "$part"/holders/*; do
			[ ! -e "$held" ] || return 0
		done
		grep -q "^/dev/${part##*/} " "$groundhog_root/proc/mounts" "$groundhog_root/proc/swaps" && return 0
	done
	return 1
}

bytes_of() { blockdev --getsize64 "$1" 2>/dev/null || stat -L -c %s "$1"; }

# records FILE: how many whole records dd has read. The dd of an initramfs' busybox prints no number of bytes.
records() { sed -n 's/^\([0-9][0-9]*\)+[0-9]* records in$/\1/p' "$1"; }

length() { stat -c %s "$1"; }

# forget_caches: what is read behind it comes from the medium, and stays there without power. sync(1) brings a disk's pages
# to the drive and no further; fsync(2) of the disk itself empties the drive's cache.
forget_caches() {
	sync
	dd if=/dev/null of="$disk" conv=notrunc,fsync 2>/dev/null || return 1
	[ ! -b "$disk" ] || blockdev --flushbufs "$disk" || return 1
	echo 3 >/proc/sys/vm/drop_caches
}

fetch() {
	curl -q -gfsSL --proto '=http,https' --max-redirs 5 --connect-timeout 15 \
		--speed-limit 1 --speed-time 30 --url "$url"
}

decode() {
	case $decoder in
	none) cat ;;
	*) "$decoder" -dc ;; # the client names a decoder that it knows and nothing else
	esac
}

# store: the first mebibyte aside, the rest in its place; what fills no mebibyte goes there by way of a file, where it can
# be measured.
store() {
	dd bs=$mib count=1 iflag=fullblock of="$lock/first" 2>"$lock/first.dd" || return
	if [ "$whole" -gt 0 ]; then
		dd bs=$mib iflag=fullblock count="$whole" seek=1 of="$disk" conv=notrunc,fsync 2>"$lock/rest.dd" || return
	fi
	dd bs=$mib count=1 iflag=fullblock of="$lock/last" 2>"$lock/last.dd" || return
	[ ! -s "$lock/last" ] || dd if="$lock/last" of="$disk" bs=$mib seek=$((whole + 1)) conv=notrunc,fsync
}

# read_back: the image as it would be: what is kept aside, and what the medium holds behind it.
read_back() {
	cat "$lock/first"
	[ "$blocks" -le 1 ] || dd if="$disk" bs=$mib skip=1 count=$((blocks - 1)) 2>/dev/null | head -c $((size - mib))
}

stages() {
	for stage in curl "$decoder" dd; do
		code=$(cat "$lock/$stage.exit" 2>/dev/null)
		tell stage "$stage ${code:-none}"
		[ "$code" = 0 ] || bad="${bad:+$bad, }$stage ended with ${code:-no status}: $(tail -n 1 "$lock/$stage.err" 2>/dev/null)"
	done
}

take_lock
! in_use "$disk" || refuse "$disk is in use" drop
have=$(bytes_of "$disk")
[ "${have:-0}" -ge "$size" ] || refuse "the image has $size bytes, $disk ${have:-unknown}" drop
for program in curl "$decoder" dd sha256sum cmp; do
	[ "$program" = none ] || command -v "$program" >/dev/null || refuse "$program is not in this initramfs" drop
done
before=$(grep " $disk\$" "$run/writing" 2>/dev/null) # an earlier flash left the disk half written
mark writing curl || refuse "writing $run/writing failed" drop
if [ -e "$run/leaving" ]; then
	if [ -n "$before" ]; then put_line writing "$before"; else unmark writing; fi
	refuse "the boot is going on" drop
fi
unmark verified
tell state writing
blocks=$(((size + mib - 1) / mib))
whole=$((size > mib ? size / mib - 1 : 0)) # mebibytes between the first one and what fills none

{ fetch 2>"$lock/curl.err"; echo $? >"$lock/curl.exit"; } |
	{ decode 2>"$lock/$decoder.err"; echo $? >"$lock/$decoder.exit"; } |
	{ store 2>"$lock/dd.err"; echo $? >"$lock/dd.exit"; }
bad=
stages
[ -z "$bad" ] || fail "$bad"
between=0
[ "$whole" = 0 ] || between=$(records "$lock/rest.dd")
got=$(($(length "$lock/first") + ${between:-0} * mib + $(length "$lock/last")))
tell bytes "$got"
[ "$got" = "$size" ] || fail "$got bytes came, the image has $size"

tell state verifying
forget_caches || fail "dropping the caches failed: nothing can be read back"
found=$(read_back | sha256sum) && found=${found%% *}
tell sha256 "$found"
[ "$found" = "$sum" ] || fail "the disk holds sha256 $found, the image has $sum"

if [ -f "$in/tail" ]; then
	dd if="$in/tail" of="$disk" bs=512 seek=$((tail / 512)) conv=notrunc,fsync 2>"$lock/dd.err" || fail "writing the table's backup: $(tail -n 1 "$lock/dd.err")"
fi
[ ! -f "$in/head" ] || dd if="$in/head" of="$lock/first" bs=512 conv=notrunc 2>/dev/null || fail "keeping the table"
dd if="$lock/first" of="$disk" bs=$mib conv=notrunc,fsync 2>"$lock/dd.err" || fail "writing the first mebibyte: $(tail -n 1 "$lock/dd.err")"
forget_caches || fail "dropping the caches failed: nothing can be read back"
dd if="$disk" bs=$mib count=1 2>/dev/null | head -c "$(length "$lock/first")" | cmp -s - "$lock/first" || fail "the first mebibyte was not taken"
if [ -f "$in/tail" ]; then
	dd if="$disk" bs=512 skip=$((tail / 512)) 2>/dev/null | cmp -s - "$in/tail" || fail "the table's backup was not taken"
fi
[ ! -b "$disk" ] || blockdev --rereadpt "$disk" 2>/dev/null
touch "$run/lease" # the wait goes on while the client takes over
mark verified curl
unmark writing
tell state verified
rm -rf "$lock" "$in"
rm -f "$claim"
