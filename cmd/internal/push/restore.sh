# shellcheck shell=dash
# shellcheck disable=SC2154 # set by common.sh
# Puts the original initramfs back; run by a unit in the first system that boots after the waiting initramfs, or by
# `groundhog restore` with the word force. Nothing that is newer than what was pushed is overwritten.
# Exit 0: the original is there, or something newer; 1: nothing was changed; 2: trouble.

force=${1-}

# over: what was kept is not needed any more.
over() {
	[ -z "$config" ] || rm -f "${file%/*}/$name"
	tidy "$target"
	rm -rf "$state"
	sync "${state%/*}"
	say "$*"
	exit 0
}

[ -r "$state/state" ] || refuse "nothing was pushed to this device"
take_lock
trap 'rm -f "$lock"' EXIT
trap '' HUP PIPE
file=$(value file) config=$(value config) name=$(value name) original=$(value original)
if [ -e "$state/keep" ] && [ "$force" != force ]; then
	say "the pushed initramfs stays: it was pushed with --keep"
	exit 0
fi
target=${config:-$file}
now=$(hash_of "$target") || fail "reading $target failed"
[ "$now" != "$original" ] || over "$target is the original already"
pushed "$now" || over "$target is newer than what was pushed: it stays as it is"
kept=$state/original-$original
[ "$(hash_of "$kept" 2>/dev/null)" = "$original" ] ||
	fail "the original of $target kept in $state is damaged: $target stays the pushed one; update-initramfs -u makes a new one"
if [ -n "$config" ]; then
	old=${config%/*}/.groundhog-config
	{ cp "$kept" "$old" && durable "$old" && flip "$config" "$old"; } || fail "putting $config back failed"
else
	old=${file%/*}/.groundhog-old
	{ cp -p "$kept" "$old" && durable "$old"; } || fail "copying the original to $old failed"
	[ "$(hash_of "$old")" = "$original" ] || fail "copying the original to $old failed"
	replace "$old" "$file" || fail "renaming $old failed: $file is the pushed one or the original"
fi
[ "$(from_medium "$target")" = "$original" ] || fail "$target does not read back as its original"
over "the original of $target is back"
