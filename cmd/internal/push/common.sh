# shellcheck shell=dash
# What push and restore share on the running device. Needs coreutils: sync FILE is fsync(2).
# groundhog_root is empty but in tests.

: "${groundhog_root:=}"
state=$groundhog_root/var/lib/groundhog
lock=$groundhog_root/run/groundhog-push

say() { printf '%s\n' "groundhog: $*" >&2; }

# refuse: nothing was changed. fail: something was, and the text says what.
refuse() {
	say "$*"
	exit 1
}
fail() {
	say "$*"
	exit 2
}

# take_lock: one at a time. mkdir fails for the second; a lock whose owner is gone is taken over, and
# /run forgets all of them at a boot.
take_lock() {
	if ! mkdir "$lock" 2>/dev/null; then
		if { read -r owner <"$lock/pid"; } 2>/dev/null && kill -0 "$owner" 2>/dev/null; then
			refuse "another push or restore is at work on this device (process $owner)"
		fi
		rm -rf "$lock"
		mkdir "$lock" 2>/dev/null || refuse "another push or restore is at work on this device"
	fi
	printf '%s\n' "$$" >"$lock/pid"
}

hash_of() {
	hash=$(sha256sum <"$1") || return 1
	printf '%s\n' "${hash%% *}"
}

# value KEY: the first value of a key in the state file, "key value" lines.
value() { sed -n "s|^$1 ||p" "$state/state" 2>/dev/null | head -n 1; }

# pushed HASH: whether this is something that a push put there.
pushed() { grep -qxF "pushed $1" "$state/state" 2>/dev/null; }

# durable FILE: its content and its name are on the medium.
durable() { sync "$1" && sync "${1%/*}"; }

# from_medium FILE: its hash as the medium has it: clean pages are dropped before it is read.
from_medium() {
	sync
	{ echo 3 >"$groundhog_root/proc/sys/vm/drop_caches"; } 2>/dev/null
	hash_of "$1"
}

# flip FILE NEW: NEW's content becomes FILE's. FILE is a config.txt on FAT, which has no journal, and where a rename over a
# file is several writes: the old chain may be freed before the new name is there. NEW has FILE's length, and
# where they differ within one 512-byte sector only, that sector is written in place: a disk writes it
# whole or not at all. Otherwise the rename is what is left; the file is smaller than a cluster, so even a freed chain reads.
flip() {
	sector=$(cmp -l "$1" "$2" | awk '{ s = int(($1 - 1) / 512); if (NR == 1) first = s; if (s != first) many = 1 }
		END { print NR == 0 ? "none" : many ? "many" : first }')
	case $sector in
	none) ;;
	many) mv -f "$2" "$1" && sync "${1%/*}" ;;
	*) dd if="$2" of="$1" bs=512 skip="$sector" seek="$sector" count=1 conv=notrunc,fsync 2>/dev/null ;;
	esac
	rm -f "$2"
	sync
}
