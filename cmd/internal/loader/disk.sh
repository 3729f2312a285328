# shellcheck shell=dash
# What survey.sh needs, and what a disk says of itself. Package disk reads the same in Go, in the waiting initramfs: a
# test holds both to one answer.

: "${groundhog_root:=}"

# Processes are what a survey takes its time for, a small device's above all: where the shell itself can do it, it does.
tab=$(printf '\t')

fact() {
	case $2 in
	'') ;;
	*"$tab"* | *'
'*) printf '%s %s\n' "$1" "$(printf '%s' "$2" | tr '\n\t' '  ')" ;;
	*) printf '%s %s\n' "$1" "$2" ;;
	esac
}
# facts KEY: each line of its input, the last one of a file without a newline too, is a fact.
facts() { while IFS= read -r value || [ -n "$value" ]; do fact "$1" "$value"; done; }
has() { command -v "$1" >/dev/null 2>&1; }

# attribute FILE: what it says.
attribute() { [ ! -f "$1" ] || head -c 4096 "$1" 2>/dev/null | tr '\0' ' '; }

# line FILE: its first line is $line, "" for none. Files of sysfs and proc have one.
line() {
	line=
	[ ! -f "$1" ] || { IFS= read -r line <"$1"; } 2>/dev/null || :
}

# first FILE...: the first that says something.
first() {
	for f in "$@"; do
		value=$(attribute "$f")
		case $value in *[![:space:]]*) printf '%s' "$value" && return ;; esac
	done
}

# disk_facts DISK
disk_facts() {
	name=${1#/dev/}
	case $name in */*) name=$(printf '%s' "$name" | tr / !) ;; esac
	sys=$groundhog_root/sys/block/$name
	# A path of an NVMe disk that has several is hidden, and no disk.
	line "$sys/hidden"
	[ "$line" != 1 ] || return 0
	fact disk "$1"
	line "$sys/size"
	case $line in
	'' | *[!0-9]* | ????????????????*) ;;
	*) fact disk_size $((line * 512)) ;;
	esac
	fact disk_model "$(first "$sys/device/model" "$sys/device/name")"
	serial=$(first "$sys/serial" "$sys/device/serial")
	# A SCSI disk's stands in its page 80h, behind four bytes.
	[ -n "$serial" ] || serial=$(tail -c +5 "$sys/device/vpd_pg80" 2>/dev/null | tr '\0' ' ')
	fact disk_serial "$serial"
	fact disk_cid "$(attribute "$sys/device/cid")"
	fact disk_ptuuid "$(lsblk -d -n -o PTUUID "$1" 2>/dev/null)"
}

