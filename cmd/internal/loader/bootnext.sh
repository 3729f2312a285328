# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034,SC2015 # shared with common.sh, push.sh, restore.sh, entry.sh and survey.sh
# The way "bootnext": the UEFI firmware's own one-shot (UEFI specification, 3.1.2 and 3.3). $config is where the partition is mounted from which the
# firmware started this system, $file the archive there, $kernel the file of the kernel that runs, of which a copy lies beside the archive: Debian's
# kernels are programs of UEFI, which read their initramfs from where they were read. A load option that is in no order names the copy, and BootNext
# names the option; the firmware takes BootNext back before it starts that. What it boots otherwise stays as it is.

efi_global=8be4df61-93ca-11d2-aa0d-00e098032b8c
bootnext_number=6768 # "gh"
bootnext_option=$efivars/Boot$bootnext_number-$efi_global
bootnext_before=$groundhog_root/run/groundhog-bootcurrent
bootnext_variable=$efivars/BootNext-$efi_global

# efi_bytes FILE: what a file of efivarfs says behind its four bytes of attributes, in decimal numbers.
# shellcheck disable=SC2002
efi_bytes() { [ ! -f "$1" ] || cat "$1" 2>/dev/null | od -An -v -tu1 | awk '{ for (i = 1; i <= NF; i++) if (++n > 4) printf "%d ", $i }'; }

# efi_number FILE: the number of a load option that a variable has.
efi_number() { efi_bytes "$1" | awk 'NF { printf "%02X%02X", $2, $1 }'; }

# efi_current: the number of the load option that starts this system: BootCurrent. In the boot of an archive that nobody used that is our option, which is gone; then
# the one is meant that the push found.
efi_current() {
	current=$(efi_number "$efivars/BootCurrent-$efi_global")
	[ "$current" != "$bootnext_number" ] || current=$(head -n 1 "$bootnext_before" 2>/dev/null)
	printf '%s' "$current"
}

# efi_node TYPE SUBTYPE: the first such node of the path in the load option that this system was started by, in decimal numbers. An option is attributes, the
# length of its path, a text, the path's nodes; a node is type, subtype, length.
efi_node() {
	efi_bytes "$efivars/Boot$(efi_current)-$efi_global" | awk -v kind="$1 $2" '{
		for (at = 7; at < NF && ($at || $(at + 1)); at += 2);
		at += 2
		for (end = at + $5 + 256 * $6; at + 3 < end && end <= NF + 1 && $at != 127; at += size) {
			size = $(at + 2) + 256 * $(at + 3)
			if (size < 4) exit
			if ($at " " $(at + 1) != kind) continue
			for (i = at; i < at + size; i++) printf "%d ", $i
			exit
		}
	}'
}

# efi_program: the file that was started.
efi_program() { efi_node 4 4 | awk '{ for (i = 5; i < NF && $i; i += 2) printf "%c", $i + 0 }'; }

# bootnext_disk: the node that says on which partition of a GPT that is.
bootnext_disk() { efi_node 4 1 | awk 'NF == 42 && $42 == 2'; }

# bootnext_partition: that partition's GUID, in lower case.
bootnext_partition() {
	bootnext_disk | awk 'NF == 42 { printf "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		$28, $27, $26, $25, $30, $29, $32, $31, $33, $34, $35, $36, $37, $38, $39, $40 }'
}

# bootnext_told: the number of the load option that is the next one.
bootnext_told() { efi_number "$bootnext_variable"; }

# bootnext_ours: whether the option of that number is one of a push.
bootnext_ours() { [ "$(efi_bytes "$bootnext_option" | awk '{ for (i = 7; i <= NF && $i; i += 2) printf "%c", $i + 0 }')" = groundhog ]; }

# utf16 TEXT: with a zero at its end, in decimal numbers.
utf16() { printf '%s\0' "$1" | od -An -v -tu1 | awk '{ for (i = 1; i <= NF; i++) printf "%d 0 ", $i }'; }

bootnext_options() { printf '%s' "$(entry_options)" 'initrd=\groundhog\initrd'; }

# bootnext_value: the load option, behind a variable's attributes, in decimal numbers: our name, the partition, the program on it, its command line.
bootnext_value() {
	program=$(utf16 '\groundhog\linux')
	# shellcheck disable=SC2086 # numbers
	set -- $program
	path="$(bootnext_disk) 4 4 $(($# + 4)) 0 $program 127 255 4 0"
	# shellcheck disable=SC2086 # numbers
	set -- $path
	printf '%s ' "7 0 0 0 1 0 0 0 $(($# % 256)) $(($# / 256)) $(utf16 groundhog) $path $(utf16 "$(bootnext_options)")"
}

# bootnext_size: how many numbers that is: attributes, the option's own, its length, our name; nodes of 42, 38 and 4 bytes; the command line. All with their zeros.
bootnext_size() { echo $((4 + 4 + 2 + 20 + 42 + 38 + 4 + 2 * (${#options} + 1))); }

# set_variable FILE: standard input, decimal numbers, is what a file of efivarfs becomes, in one write: efivarfs sets a variable by each.
set_variable() {
	value=$groundhog_root/run/groundhog-variable
	printf '%b' "$(awk '{ for (i = 1; i <= NF; i++) printf "\\0%03o", $i }')" >"$value" && dd if="$value" of="$1" bs=65536 count=1 2>/dev/null &&
		[ "$(hash_of "$value")" = "$(hash_of "$1")" ] # cmp wants to seek
	set -- $?
	rm -f "$value"
	return "$1"
}

survey_bootnext() {
	[ -d "$efivars" ] || return 0
	fact bootnext_told "$(bootnext_told)"
	[ ! -e "$bootnext_option" ] || bootnext_ours || fact bootnext_taken yes
	[ "$(head -c 2 "$groundhog_root/boot/vmlinuz-$kernel" 2>/dev/null)" != MZ ] || ! grep -qx 'CONFIG_EFI_STUB=y' "$groundhog_root/boot/config-$kernel" 2>/dev/null || fact kernel_stub yes
}

arrive_bootnext() {
	options=$(bootnext_options)
	[ -z "$(printf %s "$options" | LC_ALL=C tr -d ' -~')" ] || refuse "the kernel's command line has what is not ASCII"
	[ "${#options}" -lt 2048 ] || refuse "the kernel's command line is too long for a further word" # COMMAND_LINE_SIZE of x86
	[ -n "$(bootnext_partition)" ] || refuse "the firmware does not say any more which partition it started"
	arrive_entry
}

switch_bootnext() {
	[ "$(from_medium "$file")" = "$sum" ] || refuse "$file does not read back as what came"
	[ ! -e "$bootnext_option" ] || refuse "the firmware has an entry $bootnext_number, which stays as it is"
	[ -z "$(bootnext_told)" ] || refuse "the firmware is told already what to boot next"
	name=$(efi_current)
	option=$(bootnext_value)
	[ -n "$name" ] && [ "$(printf '%s' "$option" | wc -w)" = "$(bootnext_size)" ] || refuse "making the firmware's load option failed"
	remember_push "$sum"
	printf '%s' "$option" | set_variable "$bootnext_option" && bootnext_ours || { rm -f "$bootnext_option"; refuse "giving the firmware a load option failed"; }
	begin
	echo 7 0 0 0 $((0x$bootnext_number % 256)) $((0x$bootnext_number / 256)) | set_variable "$bootnext_variable" && [ "$(bootnext_told)" = "$bootnext_number" ] ||
		{ rm -f "$bootnext_variable"; unbegin "setting BootNext failed"; }
}

# clear_bootnext: in the order that leaves nothing which names what is gone.
clear_bootnext() {
	[ -d "$config/EFI" ] || { say "the EFI system partition is not mounted at $config" && return 1; }
	if [ "$(bootnext_told)" = "$bootnext_number" ]; then rm -f "$bootnext_variable" || return 1; fi
	[ "$(efi_number "$efivars/BootCurrent-$efi_global")" != "$bootnext_number" ] || [ -z "$(value name)" ] || value name >"$bootnext_before"
	if bootnext_ours; then rm -f "$bootnext_option" || return 1; fi
	rm -rf "${file%/*}" && settle "$config"
}
