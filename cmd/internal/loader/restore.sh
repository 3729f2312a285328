# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034,SC2015 # shared with common.sh and the ways
# Puts the original initramfs back; run by a unit in the first system that boots after the waiting initramfs, or by
# `groundhog restore` with the word force. Nothing that is newer than what was pushed is overwritten.
# Exit 0: the original is there, or something newer; 1: nothing was changed; 2: trouble.

force=${1-}

# over: what was kept is not needed any more.
over() {
	drop_others "$name" ''
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
way=$(value way) file=$(value file) config=$(value config) name=$(value name) original=$(value original)
if [ -e "$state/keep" ] && [ "$force" != force ]; then
	say "the pushed initramfs stays: it was pushed with --keep"
	exit 0
fi
case $way,$config in # groundhog 0.2 did not say
,) way=replace ;;
,*) way=name ;;
esac
if way_does clear; then
	"clear_$way" || fail "taking back what the boot loader was told failed"
	rm -rf "$state"
	sync "${state%/*}"
	say "what the boot loader was told, and the archive, are taken back"
	exit 0
fi
way_does put_back || fail "$state/state has the way '$way', which this groundhog does not know"
target=$("decides_$way")
[ -n "$target" ] || refuse "$state/state does not say what was pushed where: update-initramfs -u makes a new initramfs, and without $state there is nothing to restore"
if [ -e "$target" ]; then
	now=$(hash_of "$target") || fail "reading $target failed"
	[ "$now" != "$original" ] || over "$target is the original already"
	if ! pushed "$now"; then
		"newer_$way" || fail "$target was changed since the push, and still names what was pushed"
		over "$target is newer than what was pushed: it stays as it is"
	fi
else
	"gone_$way"
fi
kept=$state/original-$original
[ -n "$original" ] && [ "$(hash_of "$kept" 2>/dev/null)" = "$original" ] ||
	fail "the original of $target kept in $state is damaged: $target stays as it is; update-initramfs -u makes a new one"
"put_back_$way" "$kept"
[ "$(from_medium "$target")" = "$original" ] || fail "$target does not read back as its original"
over "the original of $target is back"
