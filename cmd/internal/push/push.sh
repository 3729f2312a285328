# shellcheck shell=dash
# shellcheck disable=SC2154 # set by common.sh
# Puts an archive where the boot loader finds it. Standard input is the archive.
#
#   push.sh FILE BYTES SHA256 KEEP CONFIG NAME
#
# FILE is the initramfs that the device boots now. On FAT, CONFIG is config.txt, which names FILE, and NAME the file beside it
# that the archive becomes; the original stays where it is. Elsewhere both are empty and the archive takes FILE's
# place. $groundhog_restore is the text of the script that undoes it.
#
# The order: the original and all that restore needs is durable before anything that boots is touched; the archive is complete,
# durable and compared before one rename (replace, in common.sh), for a boot loader that does not replay a
# journal. Whenever it is cut, FILE is the old one or the new one.

file=$groundhog_root$1 bytes=$2 sum=$3 keep=$4 config=${5:+$groundhog_root$5} name=$6
fresh=${file%/*}/.groundhog-new

tell() { { printf '%s\n' "$*"; } 2>/dev/null; }

# drop takes away what is not yet in use.
drop() {
	[ -n "${begun-}" ] || [ -z "${writing-}" ] || rm -f "$fresh"
	rm -f "$state/.new" "$state/.original"
	rm -f "$lock"
}

# keep_original: a copy of what decides what boots, unless that is ours; then the one that is kept already stays.
keep_original() {
	now=$(hash_of "$1") || refuse "reading $1 failed"
	if pushed "$now"; then
		original=$(value original)
		[ "$(hash_of "$state/original-$original" 2>/dev/null)" = "$original" ] ||
			refuse "$1 was pushed, and its original in $state is damaged: make a new one (update-initramfs -u) first"
		return
	fi
	original=$now
	# shellcheck disable=SC2015 # any of them
	cp -p "$1" "$state/.original" && [ "$(hash_of "$state/.original")" = "$now" ] && sync "$state/.original" &&
		mv -f "$state/.original" "$state/original-$now" && sync "$state" || refuse "keeping a copy of $1 in $state failed"
}

# place FILE: standard input becomes a file in $state, durable.
place() {
	# shellcheck disable=SC2015 # any of them
	cat >"$state/.new" && sync "$state/.new" && mv -f "$state/.new" "$state/$1" && sync "$state" || refuse "writing $state/$1 failed"
}

describe() {
	printf 'file %s\nconfig %s\nname %s\noriginal %s\n' "$file" "$config" "$name" "$original"
	{ grep '^pushed ' "$state/state" 2>/dev/null; printf 'pushed %s\n' "$1"; } | sort -u
}

receive() {
	writing=yes
	cat >"$fresh" || refuse "writing $fresh failed: is there room?"
	tell "received"
	size=$(stat -c %s "$fresh")
	[ "$size" = "$bytes" ] || refuse "$size bytes of $bytes came: the connection was cut"
	durable "$fresh" || refuse "writing $fresh failed"
	[ "$(hash_of "$fresh")" = "$sum" ] || refuse "what came has another SHA-256: nothing was changed"
	[ -n "$config" ] || { chmod 600 "$fresh" && chown --reference="$file" "$fresh"; }
}

# switch_file: the rename.
switch_file() {
	describe "$sum" | place state
	tell "renaming"
	begun=yes
	replace "$fresh" "$file" || fail "renaming $fresh failed: $file is the old one or the new one: run groundhog restore"
	[ "$(from_medium "$file")" = "$sum" ] || fail "$file does not read back as what was written: run groundhog restore"
}

# switch_config: config.txt names the archive from now on.
switch_config() {
	new=${config%/*}/.groundhog-config
	old=${file##*/}
	sed "s|^\(initramfs  *\)$old\( .*\)\{0,1\}\$|\1$name\2|" "$state/original-$original" >"$new" || refuse "writing $new failed"
	grep -q "^initramfs  *$name" "$new" || refuse "config.txt has no line 'initramfs $old'"
	durable "$new" || refuse "writing $new failed"
	wanted=$(hash_of "$new")
	describe "$wanted" | place state
	settle "$config"
	tell "renaming"
	begun=yes
	flip "$config" "$new" || fail "writing $config failed"
	[ "$(from_medium "$config")" = "$wanted" ] || fail "$config does not read back as what was written: run groundhog restore"
	[ "$(from_medium "$fresh")" = "$sum" ] || fail "$fresh does not read back as what was written: run groundhog restore"
}

take_lock
trap drop EXIT
trap 'exit 1' HUP INT TERM PIPE
umask 077
{ mkdir -p "$state" && chmod 700 "$state"; } || refuse "making $state failed"
keep_original "${config:-$file}"
printf '%s\n' "$groundhog_restore" | place restore
tell "ready"
if [ -n "$config" ]; then
	# What the firmware loads may not be written into: a second push takes another name.
	[ "$(value name)" != "$name" ] || name=${name%?}_
	fresh=${file%/*}/$name
fi
receive
# From here on a lost connection ends nothing halfway.
trap '' HUP INT TERM PIPE
if [ "$keep" = keep ]; then : >"$state/keep"; else rm -f "$state/keep"; fi
old_name=$(value name)
if [ -n "$config" ]; then switch_config; else switch_file; fi
for left in "$state"/original-*; do
	[ "$left" = "$state/original-$original" ] || rm -f "$left"
done
[ -z "$config" ] || [ -z "$old_name" ] || [ "$old_name" = "$name" ] || rm -f "${file%/*}/$old_name"
tidy "$file"
tell "done $original"
