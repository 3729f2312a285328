# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034 # shared with common.sh, push.sh and restore.sh
# The way "replace": the archive takes the place of the initramfs, $file. Cut at any instant, $file is the old one or the new one.

decides_replace() { printf '%s\n' "$file"; }

arrive_replace() { fresh=${file%/*}/.groundhog-new; }

switch_replace() {
	chmod 600 "$fresh" && chown --reference="$file" "$fresh"
	remember_push "$sum"
	begin
	replace "$fresh" "$file" || fail "renaming $fresh failed: $file is the old one or the new one: run groundhog restore"
	reads_back
}

# put_back_replace KEPT
put_back_replace() {
	old=${file%/*}/.groundhog-old
	{ cp -p "$1" "$old" && durable "$old"; } || fail "copying the original to $old failed"
	[ "$(hash_of "$old")" = "$original" ] || fail "copying the original to $old failed"
	replace "$old" "$file" || fail "renaming $old failed: $file is the pushed one or the original"
}

# newer_replace: what is there in the archive's place needs nothing of it.
newer_replace() { :; }
