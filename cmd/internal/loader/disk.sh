# shellcheck shell=dash
# What survey.sh needs, and what a disk says of itself. Package disk reads the same in Go, in the waiting initramfs: a
# test holds both to one answer.

: "${groundhog_root:=}"

fact() { [ -z "$2" ] || printf '%s %s\n' "$1" "$(printf '%s' "$2" | tr '\n\t' '  ')"; }
has() { command -v "$1" >/dev/null 2>&1; }
attribute() { head -c 4096 "$1" 2>/dev/null | tr '\0' ' '; }

# first FILE...: the first that says something.
first() {
	for f in "$@"; do
		value=$(attribute "$f")
		case $value in *[![:space:]]*) printf '%s' "$value" && return ;; esac
	done
}

# disk_facts DISK
disk_facts() {
	name=$(printf '%s' "${1#/dev/}" | tr / !)
	sys=$groundhog_root/sys/block/$name
	# A path of an NVMe disk that has several is hidden, and no disk.
	[ "$(attribute "$sys/hidden")" != 1 ] || return 0
	fact disk "$1"
	sectors=$(attribute "$sys/size")
	case $sectors in
	'' | *[!0-9]* | ????????????????*) ;;
	*) fact disk_size $((sectors * 512)) ;;
	esac
	fact disk_model "$(first "$sys/device/model" "$sys/device/name")"
	serial=$(first "$sys/serial" "$sys/device/serial")
	# A SCSI disk's stands in its page 80h, behind four bytes.
	[ -n "$serial" ] || serial=$(tail -c +5 "$sys/device/vpd_pg80" 2>/dev/null | tr '\0' ' ')
	fact disk_serial "$serial"
	fact disk_cid "$(attribute "$sys/device/cid")"
	fact disk_ptuuid "$(lsblk -d -n -o PTUUID "$1" 2>/dev/null)"
}

