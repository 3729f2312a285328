# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034,SC2015 # shared with common.sh, push.sh and restore.sh
# The way "entry": systemd-boot's own one-shot, LoaderEntryOneShot (https://systemd.io/BOOT_LOADER_INTERFACE/). $config is where the EFI
# system partition that it was started from is mounted, $file the archive there, $kernel the file of the kernel that runs, of which a copy lies
# beside the archive. An entry of Type #1 without a sort-key comes behind all that have one, so it is never the default; systemd-boot takes the variable back
# before it starts anything. Nothing that is on the partition is changed.

efivars=$groundhog_root/sys/firmware/efi/efivars
loader_guid=4a67b082-0a4c-41cf-b6c7-440b29bb8c4f
entry_variable=$efivars/LoaderEntryOneShot-$loader_guid

# efi_text FILE: what a file of efivarfs says: four bytes of attributes, and UTF-16. Such a file cannot be sought in, which tail does in a file, but
# not behind a pipe.
# shellcheck disable=SC2002
efi_text() { [ ! -f "$1" ] || cat "$1" 2>/dev/null | tail -c +5 | tr -d '\0'; }

# entry_told: which entry is the next one.
entry_told() { efi_text "$entry_variable"; }

# entry_options: the running kernel's command line, without what its loader put there.
entry_options() { tr ' ' '\n' <"$groundhog_root/proc/cmdline" | grep -v -e '^initrd=' -e '^BOOT_IMAGE=' -e '^$' | tr '\n' ' '; }

# survey_entry: bit 3 of systemd-boot's features is that it has a one-shot.
survey_entry() {
	features=$(od -An -tu1 -j4 -N1 "$efivars/LoaderFeatures-$loader_guid" 2>/dev/null | tr -d ' ')
	case $features in
	'' | *[!0-9]*) ;;
	*) [ $((features & 8)) = 0 ] || fact loader_oneshot yes ;;
	esac
	fact loader_told "$(entry_told)"
}

arrive_entry() {
	arrive_once
	mkdir -p "${file%/*}" && cp "$kernel" "${file%/*}/linux" && [ "$(from_medium "${file%/*}/linux")" = "$(hash_of "$kernel")" ] ||
		refuse "copying $kernel to ${file%/*}/linux failed: is there room?"
	fresh=$file
}

switch_entry() {
	[ -z "$(entry_told)" ] || refuse "systemd-boot is told already what to boot next"
	new=$config/loader/.groundhog-new
	printf 'title groundhog, once\nlinux /groundhog/linux\ninitrd /groundhog/initrd\noptions %s\n' "$(entry_options)" >"$new" && durable "$new" &&
		mv -f "$new" "$config/loader/entries/groundhog.conf" && settle "$config" && [ "$(from_medium "$file")" = "$sum" ] &&
		grep -q '^options .' "$config/loader/entries/groundhog.conf" || refuse "writing $config/loader/entries/groundhog.conf failed"
	remember_push "$sum"
	begin
	# In one write: efivarfs sets a variable by each. Non-volatile, and there for the boot loader and for us.
	value=$groundhog_root/run/groundhog-variable
	printf '\007\0\0\0g\0r\0o\0u\0n\0d\0h\0o\0g\0.\0c\0o\0n\0f\0\0\0' >"$value" && dd if="$value" of="$entry_variable" bs=4096 count=1 2>/dev/null
	rm -f "$value"
	[ "$(entry_told)" = groundhog.conf ] || unbegin "setting LoaderEntryOneShot failed"
}

# clear_entry: in the order that leaves nothing which names what is gone.
clear_entry() {
	[ -d "$config/loader/entries" ] || [ -d "$config/EFI" ] || { say "the EFI system partition is not mounted at $config" && return 1; }
	if [ "$(entry_told)" = groundhog.conf ]; then
		chattr -i "$entry_variable" 2>/dev/null # efivarfs protects variables that it does not know
		rm -f "$entry_variable" || return 1
	fi
	rm -f "$config/loader/entries/groundhog.conf" "$config/loader/.groundhog-new" && settle "$config" || return 1
	rm -rf "${file%/*}" && settle "$config"
}
