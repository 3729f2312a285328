# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034 # shared with common.sh, push.sh, restore.sh and survey.sh
# The way "auto": Raspberry Pi OS's config.txt leaves the initramfs to the firmware, auto_initramfs=1, and is told its name in that line's place, which
# is as long: one sector changes, in place. $config is config.txt, $file the archive beside it. What decides which kernel and which board's section it is
# stays; where a word behind the name is missing the firmware loads it behind the kernel, as with Debian's raspi-firmware. The way back changes
# that line and nothing else, whatever was written into config.txt since. Cut at any instant, config.txt has the one line or the other, and both files are whole.

auto_line='auto_initramfs=1'
auto_named='initramfs gh.img'

# auto_flips CONFIG: whether there is one line of the two, for all boards, and no other that names an initramfs.
auto_flips() {
	awk -v auto="$auto_line" -v named="$auto_named" '
		/^[ \t]*\[/ { section = $0 !~ /^[ \t]*\[all\][ \t\r]*$/ }
		$0 == auto || $0 == named { n++; if (section) bad = 1; next }
		/^[ \t]*(auto_initramfs|initramfs|ramfsfile)[ \t=]/ { bad = 1 }
		END { exit n != 1 || bad }' "$1"
}

# auto_change FROM TO: one line of config.txt becomes another.
auto_change() {
	beside "$config" sed "s/^$1\$/$2/" "$config" && settle "$config" && flip "$config" "$new" && grep -qxF "$2" "$config" && ! grep -qxF "$1" "$config"
}

survey_auto() {
	config=$groundhog_root/boot/firmware/config.txt
	[ ! -f "$config" ] || ! auto_flips "$config" || fact firmware_flip yes
	[ ! -e "${config%/*}/gh.img" ] || fact firmware_gh yes
}

arrive_auto() { arrive_once; fresh=$file; }

switch_auto() {
	auto_flips "$config" || refuse "config.txt has not one line $auto_line, or names an initramfs"
	[ "$(from_medium "$file")" = "$sum" ] || refuse "$file does not read back as what came"
	remember_push "$sum"
	begin
	auto_change "$auto_line" "$auto_named" || fail "writing $config failed: run groundhog restore"
	reads_back
}

# clear_auto: in the order that leaves nothing which names what is gone.
clear_auto() {
	[ -e "$config" ] || { say "there is no $config: is it mounted?" && return 1; }
	if grep -qxF "$auto_named" "$config"; then auto_change "$auto_named" "$auto_line" || return 1; fi
	rm -f "$file" "${config%/*}/.groundhog-config" && settle "$config"
}
