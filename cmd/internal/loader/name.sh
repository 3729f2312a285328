# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034,SC2015 # shared with common.sh, push.sh and restore.sh
# The way "name": $config, the config.txt of the Raspberry Pi's firmware, names the archive, $name beside $file, in place of $file, which stays
# where it is. Cut at any instant, config.txt names the one or the other, and both are whole.

survey_name() {
	config=$groundhog_root/boot/firmware/config.txt
	[ ! -f "$config" ] || fact firmware_section "$(awk '{ sub(/\r$/, "") } /^[ \t]*\[/ { section = $0 } /^[ \t]*\[[aA][lL][lL]\]/ { section = "" }
		/^[ \t]*initramfs[ \t]/ && section != "" { print section; exit }' "$config")"
}

decides_name() { printf '%s\n' "$config"; }

# arrive_name: what the firmware loads may not be written into: a second push takes another name. config.txt says which one that is: a push that was killed
# may have noted its own before config.txt had it.
arrive_name() {
	if grep -q "^initramfs  *${name%?}_" "$config"; then
		:
	elif [ "$(value name)" = "$name" ] || grep -q "^initramfs  *$name" "$config"; then
		name=${name%?}_
	fi
	fresh=${file%/*}/$name
}

switch_name() {
	new=${config%/*}/.groundhog-config
	old=${file##*/}
	sed "s|^\(initramfs  *\)$old\( .*\)\{0,1\}\$|\1$name\2|" "$state/original-$original" >"$new" || refuse "writing $new failed"
	grep -q "^initramfs  *$name" "$new" || refuse "config.txt has no line 'initramfs $old': if it was edited since a push, groundhog restore mends that"
	durable "$new" && wanted=$(hash_of "$new") || refuse "writing $new failed"
	remember_push "$wanted"
	settle "$config"
	begin
	flip "$config" "$new" || fail "writing $config failed"
	[ "$(from_medium "$config")" = "$wanted" ] || fail "$config does not read back as what was written: run groundhog restore"
	[ "$(from_medium "$fresh")" = "$sum" ] || fail "$fresh does not read back as what was written: run groundhog restore"
}

# requires_name: config.txt is not made to name what is gone, as with its kernel's package: the archive boots, and is all that does.
requires_name() {
	[ -e "$file" ] || refuse "$config names what was pushed, and $file is gone, which it named before: update-initramfs -u has it name another one first"
}

# put_back_name KEPT
put_back_name() {
	requires_name
	beside "$config" cat "$1" || refuse "writing $new failed: it needs room before $config can be put back"
	flip "$config" "$new" || fail "putting $config back failed"
}

# newer_name: config.txt was edited since the push. That stays, but for the line that names the archive, which goes.
newer_name() {
	one=groundhog_${file##*/initrd.img}
	named="^\\(initramfs  *\\)\\($one\\|${one%?}_\\)\\( .*\\)\\{0,1\\}\$"
	grep -q "$named" "$config" || return 0
	requires_name
	beside "$config" sed "s#$named#\\1${file##*/}\\3#" "$config" && settle "$config" && flip "$config" "$new" && grep -q "^initramfs  *${file##*/}" "$config"
}

gone_name() { refuse "there is no $config: is it mounted?"; }

# drop_name NAME KEEP: what an earlier push put there besides, under either name: one that did not come to its end has left its own there, or the one before.
drop_name() {
	one=groundhog_${file##*/initrd.img}
	for left in "$one" "${one%?}_" "$1"; do
		[ -z "$left" ] || [ "$left" = "$2" ] || rm -f "${file%/*}/$left"
	done
}

# flip FILE NEW: NEW's content becomes FILE's. FILE is a config.txt on FAT, which has no journal, and where a rename over a
# file is several writes: the old chain may be freed before the new name is there. NEW has FILE's length, and
# where they differ within one 512-byte sector only, that sector is written in place: a disk writes it
# whole or not at all. Otherwise a rename is what is left, which needs NEW beside FILE; the file is smaller than a cluster, so even a freed chain reads.
flip() {
	sector=$(cmp -l "$1" "$2" | awk '{ s = int(($1 - 1) / 512); if (NR == 1) first = s; if (s != first) many = 1 }
		END { print NR == 0 ? "none" : many ? "many" : first }')
	case $sector in
	none) ;;
	many) [ "${2%/*}" = "${1%/*}" ] && replace "$2" "$1" || return 1 ;;
	*) dd if="$2" of="$1" bs=512 skip="$sector" seek="$sector" count=1 conv=notrunc,fsync 2>/dev/null || return 1 ;;
	esac
	rm -f "$2"
	settle "$1"
}
