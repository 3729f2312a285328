# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034,SC2015 # shared with common.sh, push.sh and restore.sh
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
	cp -p "$1" "$old" && durable "$old" && [ "$(hash_of "$old")" = "$original" ] || {
		rm -f "$old"
		refuse "copying the original to $old failed: it needs room there before it can take its place back"
	}
	if [ -e "$file" ]; then replace "$old" "$file"; else mv "$old" "$file" && durable "$file"; fi || fail "renaming $old failed: $file is the pushed one or the original"
}

# newer_replace: what is there in the archive's place needs nothing of it.
newer_replace() { :; }

# gone_replace: somebody has removed the archive. The original comes back where its kernel is still there. Whoever purged the kernel's package has
# removed that as well, and nothing is to be put back; but other kernels tell that from a /boot that is not mounted.
gone_replace() {
	[ ! -e "${file%/*}/vmlinuz-${file##*/initrd.img-}" ] || return 0
	for other in "${file%/*}"/vmlinuz-*; do
		[ ! -e "$other" ] || over "$file is gone with its kernel, and what was kept for it as well: there is nothing to put back"
	done
	refuse "there is no $file, nor any kernel beside it: is ${file%/*} mounted?"
}
