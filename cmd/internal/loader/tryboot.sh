# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034,SC2015 # shared with common.sh, push.sh, restore.sh and survey.sh
# The way "tryboot": the Raspberry Pi's firmware reads tryboot.txt in place of config.txt if the reboot asks for that, by the argument
# "0 tryboot", and forgets it (https://www.raspberrypi.com/documentation/computers/config_txt.html). $config is config.txt, which stays as it is,
# $file the archive beside it, $kernel the file of the kernel that runs. A cut at any time leads to config.txt.

tryboot_mark='# made by groundhog push, for one boot'

# firmware_image VERSION: which of the firmware's files Raspberry Pi OS copies that kernel to.
firmware_image() {
	case $1 in
	*-2712) echo kernel_2712.img ;;
	*-v8 | *-v8+) echo kernel8.img ;;
	esac
}

# tryboot_text CONFIG IMAGE ARCHIVE: what config.txt says, with kernel and initramfs by name. What picks them in a section of one board
# goes, and the last section is that of all.
tryboot_text() {
	printf '%s\n' "$tryboot_mark" &&
		sed '/^[[:space:]]*\(initramfs[[:space:]]\|auto_initramfs=\|kernel=\)/d' "$1" &&
		printf '\n[all]\nkernel=%s\ninitramfs %s followkernel\n' "$2" "$3"
}

survey_tryboot() {
	fact firmware_tryboot "$(od -An -tx1 "$groundhog_root/proc/device-tree/chosen/bootloader/tryboot" 2>/dev/null | tr -d ' ')"
	try=$groundhog_root/boot/firmware/tryboot.txt
	[ ! -e "$try" ] || grep -qxF "$tryboot_mark" "$try" || fact firmware_tried yes
}

arrive_tryboot() { arrive_once; fresh=$file; }

switch_tryboot() {
	try=${config%/*}/tryboot.txt new=${config%/*}/.groundhog-config
	[ ! -e "$try" ] || refuse "there is a $try already"
	image=$(firmware_image "${kernel##*/vmlinuz-}")
	[ -n "$image" ] && cmp -s "$kernel" "${config%/*}/$image" || refuse "the firmware's ${image:-kernel} is not the kernel that runs"
	remember_push "$sum"
	tryboot_text "$config" "$image" "${file##*/}" >"$new" && durable "$new" && mv "$new" "$try" && [ "$(from_medium "$file")" = "$sum" ] &&
		grep -q "^initramfs ${file##*/} " "$try" || refuse "writing $try failed"
	begin
}

clear_tryboot() {
	[ -e "$config" ] || { say "there is no $config: is it mounted?" && return 1; }
	if grep -qxF "$tryboot_mark" "${config%/*}/tryboot.txt" 2>/dev/null; then rm -f "${config%/*}/tryboot.txt" && settle "$config" || return 1; fi
	rm -f "$file" "${config%/*}/.groundhog-config" && settle "$config"
}
