# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034,SC2015 # shared with common.sh and the ways
# Puts an archive where the boot loader finds it. Standard input is the archive.
#
#   push.sh WAY FILE BYTES SHA256 KEEP CONFIG NAME KERNEL
#
# FILE is the initramfs that the device boots now, or, of a one-shot, the archive's own. WAY is the name of a way, whose file says what the
# others are; CONFIG, NAME and KERNEL are empty where it has none. $groundhog_restore is the text of the script that undoes it.
#
# The order: the original and all that restore needs is durable before anything that boots is touched; the archive is complete,
# durable and compared before the one step that changes what boots (replace.sh, name.sh, the ends of the one-shots').

way=$1 file=$groundhog_root$2 bytes=$3 sum=$4 keep=$5 config=${6:+$groundhog_root$6} name=$7 kernel=${8:+$groundhog_root$8}

tell() { { printf '%s\n' "$*"; } 2>/dev/null; }

# drop takes away what is not in use. Exit 3: an earlier push was taken back, and this one is refused.
drop() {
	code=$?
	trap '' HUP INT TERM PIPE
	rm -f "$state/.new" "$state/.original"
	[ -n "${begun-}" ] || undo
	rm -f "$lock"
	exit "$code"
}

# undo: of a push that is refused nothing stays; an earlier one stays where it was not taken back.
undo() {
	[ -z "${writing-}" ] || rm -f "$fresh"
	if [ -n "${arrived-}" ]; then
		"clear_$way" || { code=2 && say "what it had put there stays, and is not what boots: run groundhog restore" && return; }
		[ -z "$booting" ] || code=3
	elif [ -n "$earlier" ]; then
		tidy "$file"
		return
	else
		tidy "$file"
	fi
	rm -rf "$state"
	sync "${state%/*}"
}

# keep_original: a copy of what decides what boots, unless that is ours; then the one that is kept already stays.
keep_original() {
	now=$(hash_of "$1") || refuse "reading $1 failed"
	if pushed "$now"; then
		original=$(value original)
		[ -n "$original" ] && [ "$(hash_of "$state/original-$original" 2>/dev/null)" = "$original" ] ||
			refuse "$1 was pushed, and its original in $state is damaged: make a new one (update-initramfs -u) first"
		return
	fi
	original=$now
	cp -p "$1" "$state/.original" && [ "$(hash_of "$state/.original")" = "$now" ] && sync "$state/.original" &&
		mv -f "$state/.original" "$state/original-$now" && sync "$state" || refuse "keeping a copy of $1 in $state failed"
}

# place FILE: standard input becomes a file in $state, durable. Behind a pipe it is a process of its own, and its refusal ends only that:
# whoever calls it has to end, too.
place() {
	cat >"$state/.new" && sync "$state/.new" && mv -f "$state/.new" "$state/$1" && sync "$state" || refuse "writing $state/$1 failed"
}

describe() {
	printf 'way %s\nfile %s\nconfig %s\nname %s\noriginal %s\n' "$way" "$file" "$config" "$name" "$original"
	{ grep '^pushed ' "$state/state" 2>/dev/null; printf 'pushed %s\n' "$1"; } | sort -u
}

# remember_push SHA256: what restore goes by, before anything that boots is touched.
remember_push() {
	describe "$1" | place state || exit
	if [ "$keep" = keep ]; then : >"$state/keep"; else rm -f "$state/keep"; fi
}

# begin: from here on it is the archive that may boot, and what is in use is not dropped. A one-shot that could not be told ends with unbegin,
# and takes all back.
begin() {
	tell "renaming"
	begun=yes
}
unbegin() {
	begun=
	refuse "$*"
}

# reads_back: whether what was written is the archive.
reads_back() { [ "$(from_medium "$file")" = "$sum" ] || fail "$file does not read back as what was written: run groundhog restore"; }

# arrive_once: what an earlier one-shot left may be what boots next, so it goes first.
arrive_once() {
	if ! "clear_$way"; then
		[ -z "$booting" ] || fail "taking back what an earlier push told the boot loader failed: run groundhog restore"
		refuse "nothing was there to take back, and looking for it failed"
	fi
	arrived=yes
	describe '' | grep -v '^pushed' | place state || exit
}

receive() {
	writing=yes
	cat >"$fresh" || refuse "writing $fresh failed: is there room?"
	tell "received"
	size=$(stat -c %s "$fresh")
	[ "$size" = "$bytes" ] || refuse "$size bytes of $bytes came: the connection was cut"
	durable "$fresh" || refuse "writing $fresh failed"
	[ "$(hash_of "$fresh")" = "$sum" ] || refuse "what came has another SHA-256: nothing was changed"
}

take_lock
earlier=$(value way)
booting=$(value pushed)
trap drop EXIT
trap 'exit 1' HUP INT TERM PIPE
umask 077
{ mkdir -p "$state" && chmod 700 "$state"; } || refuse "making $state failed"
[ -z "$earlier" ] || [ "$earlier" = "$way" ] || refuse "an archive is there by another way, $earlier: groundhog restore takes that back"
was=$(value file)
if [ "$way" = replace ] && [ -f "$was" ] && [ "$was" != "$file" ]; then # one original is kept
	now=$(hash_of "$was") || refuse "reading $was failed"
	! pushed "$now" || refuse "an archive is still in the place of $was: groundhog restore takes that back"
fi
original=''
if way_does decides; then keep_original "$("decides_$way")"; fi # what has nothing that decides takes nothing's place
printf '%s\n' "$groundhog_restore" | place restore || exit
tell "ready"
"arrive_$way"
receive
# From here on a lost connection ends nothing halfway.
trap '' HUP INT TERM PIPE
old_name=$(value name)
"switch_$way"
for left in "$state"/original-*; do
	[ "$left" = "$state/original-$original" ] || rm -f "$left"
done
drop_others "$old_name" "$name"
tidy "$file"
tell "done $original"
