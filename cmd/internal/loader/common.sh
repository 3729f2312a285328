# shellcheck shell=dash
# What push and restore share on the running device. Needs coreutils, where sync FILE is fsync(2) and sync -f FILE syncfs(2), and
# flock of util-linux.
# groundhog_root is empty but in tests.

: "${groundhog_root:=}"
state=$groundhog_root/var/lib/groundhog
lock=$groundhog_root/run/groundhog-push.lock

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

# take_lock: one at a time. The kernel lets go of a lock when the last process that has the file open is gone, so none is left
# behind by a holder that was killed. Who lets go removes the file first: whoever had opened it before then locks a
# file without a name, and must not take that for the lock.
take_lock() {
	{ true; } >>"$lock" || refuse "making $lock failed"
	exec 9>>"$lock"
	if ! flock -n 9 || [ "$(stat -L -c %d:%i /proc/self/fd/9)" != "$(stat -c %d:%i "$lock" 2>/dev/null)" ]; then
		{ read -r owner <"$lock"; } 2>/dev/null
		refuse "another push or restore is at work on this device${owner:+ (process $owner)}"
	fi
	{ printf '%s\n' "$$" >"$lock"; } 2>/dev/null # where /run is full it has no number
}

hash_of() {
	hash=$(sha256sum <"$1") || return 1
	printf '%s\n' "${hash%% *}"
}

# value KEY: the first value of a key in the state file, "key value" lines.
value() { sed -n "s|^$1 ||p" "$state/state" 2>/dev/null | head -n 1; }

# pushed HASH: whether this is something that a push put there.
pushed() { grep -qxF "pushed $1" "$state/state" 2>/dev/null; }

# durable FILE: its content and its name are on the medium, in the journal at least.
durable() { sync "$1" && sync "${1%/*}"; }

# settle FILE: all of its filesystem is at its place on the medium, for a reader that does not replay a journal. The first
# sync writes what the journal has to its places, the second has the drive empty its cache behind that.
settle() { sync -f "$1" && sync -f "$1"; }

# from_medium FILE: its hash as the medium has it: clean pages are dropped before it is read.
from_medium() {
	settle "$1"
	{ echo 3 >"$groundhog_root/proc/sys/vm/drop_caches"; } 2>/dev/null
	hash_of "$1"
}

# replace NEW FILE: NEW takes FILE's name, and a boot loader finds the one or the other whenever the power is cut. A rename
# frees the file that had the name. Where that reaches the medium before the directory does, the name leads to an empty file for
# who replays no journal, as GRUB does. So the old file keeps a second name until the new one is at its place. A filesystem
# without hard links, FAT, does not free a file that is open: that holds unless this shell is killed and the power is cut, too.
replace() {
	last=${2%/*}/.groundhog-last
	settle "$2" && rm -f "$last" || return 1
	[ -r "$2" ] || return 1
	exec 8<"$2"
	ln "$2" "$last" 2>/dev/null || say "$2 can have no second name on this filesystem: the old file is held open until the new one is durable"
	settle "$2" && mv -f "$1" "$2" && sync "${2%/*}" && settle "$2" || return 1
	exec 8<&-
	rm -f "$last" && settle "$2"
}

# tidy FILE: what a run that was killed left beside it. The second name may be all that the old file has: see replace.
tidy() { settle "${1%/*}" && rm -f "${1%/*}/.groundhog-last" "${1%/*}/.groundhog-new" "${1%/*}/.groundhog-old" "${1%/*}/.groundhog-config"; }

# beside FILE COMMAND...: what a command prints is durable in $new, beside FILE; where there is no room for that, in /run, which is on no medium, and gone with
# the power.
beside() {
	new=${1%/*}/.groundhog-config
	shift
	if "$@" >"$new" && durable "$new"; then return; fi 2>/dev/null
	rm -f "$new"
	new=$groundhog_root/run/groundhog-config
	"$@" >"$new"
}

# way_does WHAT: whether $way has such a function, which is in its file. arrive puts the archive there, and switch has it booted. What takes it back: where
# it takes the place of something decides, put_back, newer and gone; clear elsewhere. Some have survey, the facts that it needs.
# shellcheck disable=SC2154 # push.sh and restore.sh say which way
way_does() { command -v "$1_$way" >/dev/null; }

# drop_others NAME KEEP: what an earlier push put there besides, by a way that has names for that.
drop_others() { ! way_does drop || "drop_$way" "$1" "$2"; }
