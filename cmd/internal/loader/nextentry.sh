# shellcheck shell=dash
# shellcheck disable=SC2154,SC2034,SC2015 # shared with common.sh, push.sh, restore.sh and survey.sh
# The way "nextentry": GRUB's own one-shot. $config is GRUB's directory on the device, $file the archive, a file that nothing else
# names, $kernel the file of the kernel that runs. custom.cfg gets an entry that boots both, and next_entry in grubenv names it: GRUB takes
# that back before it starts the kernel (grub.cfg's 00_header). The ordinary entries and the initramfs stay as they are, so
# whatever is cut when, all that can be booted is whole: the archive is durable before its entry is, and that before next_entry.

grub_mark='# made by groundhog push, for one boot'

# grub_entry CFG VERSION ARCHIVE: what grub.cfg's first entry for a kernel does, with the archive in place of that kernel's initramfs. It loads
# nothing where the archive is gone: GRUB starts a kernel without the initramfs that it does not find, and that one panics.
grub_entry() {
	awk -v kernel="/vmlinuz-$2" -v initrd="/initrd.img-$2" -v archive="/$3" '
		function ends(text, with) { return length(text) >= length(with) && substr(text, length(text) - length(with) + 1) == with }
		/^[ \t]*menuentry[ \t]/ { inside = 1; before = body = ""; linux = found = 0; next }
		inside && /^[ \t]*}[ \t]*$/ {
			if (linux == 1 && found == 1) { printf "%s\tif [ -f %s ]; then\n%s\tfi\n", before, file, body; exit }
			inside = 0; next
		}
		inside {
			if ($1 ~ /^linux/ && ends($2, kernel) && !linux++) { before = body; body = "" }
			if ($1 ~ /^initrd/) for (i = 2; i <= NF; i++) if (ends($i, initrd)) { file = $i = substr($i, 1, length($i) - length(initrd)) archive; found++ }
			sub(/^[ \t]*/, "\t"); body = body $0 "\n"
		}' "$1" 2>/dev/null
}

# grub_next_entry DIR: what GRUB is told to boot next, once.
grub_next_entry() { grub-editenv "$1/grubenv" list 2>/dev/null | sed -n 's/^next_entry=//p'; }

# grub_environment DIR ARGUMENT...: changes grubenv as grub-editenv does, which writes a new file; GRUB itself writes into the blocks that
# the file has. So does this: 1024 bytes, of which a cut may leave what was there or what is new.
grub_environment() {
	env=$1/grubenv copy=$groundhog_root/run/groundhog-env # there is room for it where /boot is full
	shift
	[ -s "$env" ] || { grub-editenv "$env" create && settle "$env"; } || return 1
	cp "$env" "$copy" && grub-editenv "$copy" "$@" && [ "$(stat -c %s "$copy")" = 1024 ] && [ "$(stat -c %s "$env")" = 1024 ] &&
		dd if="$copy" of="$env" bs=1024 count=1 conv=notrunc,fsync 2>/dev/null && settle "$env" && rm -f "$copy"
}

survey_nextentry() {
	grub=$groundhog_root/boot/grub
	[ -f "$grub/grub.cfg" ] || return 0
	[ -z "$(grub_entry "$grub/grub.cfg" "$kernel" x)" ] || fact grub_entry yes
	# shellcheck disable=SC2016 # GRUB's variable
	! grep -qF 'set default="${next_entry}"' "$grub/grub.cfg" || ! grep -q '^[[:space:]]*save_env next_entry' "$grub/grub.cfg" ||
		! grep -q '^[[:space:]]*source .*/custom\.cfg' "$grub/grub.cfg" || fact grub_once yes
	[ ! -e "$grub/custom.cfg" ] || grep -qxF "$grub_mark" "$grub/custom.cfg" || fact grub_custom yes
	! has grub-editenv || fact grub_editenv yes
	fact grub_told "$(grub_next_entry "$grub")"
	fact grub_type "$(findmnt -n -o FSTYPE -T "$grub" 2>/dev/null)"
	source=$(findmnt -n -o SOURCE -T "$grub" 2>/dev/null | sed 's/\[.*//')
	[ -z "$source" ] || lsblk -s -n -r -o TYPE "$source" 2>/dev/null | sort -u | while read -r type; do fact grub_on "$type"; done
}

arrive_nextentry() { arrive_once; fresh=$file; }

switch_nextentry() {
	custom=$config/custom.cfg
	[ ! -e "$custom" ] || refuse "there is a $custom already"
	chmod 600 "$file"
	entry=$(grub_entry "$config/grub.cfg" "${kernel##*/vmlinuz-}" "${file##*/}")
	[ -n "$entry" ] || refuse "$config/grub.cfg has no entry for $kernel"
	# Where the entry fails GRUB goes on to its first one, and does not wait for somebody.
	# shellcheck disable=SC2016 # GRUB's variable
	{
		printf '%s\n' "$grub_mark" 'if [ "${default}" = groundhog ]; then set fallback=0; fi' 'menuentry groundhog --id groundhog --unrestricted {'
		printf '%s\n}\n' "$entry"
	} >"$config/.groundhog-custom" && settle "$config/.groundhog-custom" || refuse "writing $config/.groundhog-custom failed"
	remember_push "$sum"
	mv "$config/.groundhog-custom" "$custom" && sync "$config" && [ "$(from_medium "$file")" = "$sum" ] &&
		grep -qxF "$grub_mark" "$custom" || refuse "writing $custom failed"
	begin
	grub_environment "$config" set next_entry=groundhog && [ "$(grub_next_entry "$config")" = groundhog ] ||
		unbegin "telling GRUB what to boot next failed"
}

# clear_nextentry: in the order that leaves nothing which names what is gone.
clear_nextentry() {
	[ -e "$config/grub.cfg" ] || { say "there is no $config/grub.cfg: is /boot mounted?" && return 1; }
	[ "$(grub_next_entry "$config")" != groundhog ] || grub_environment "$config" unset next_entry || return 1
	if grep -qxF "$grub_mark" "$config/custom.cfg" 2>/dev/null; then rm -f "$config/custom.cfg" && settle "$config" || return 1; fi
	rm -f "$file" "$config/.groundhog-custom" "$config/.groundhog-env" && settle "$config"
}
