# shellcheck shell=dash
# shellcheck disable=SC2154 # set by disk.sh and the ways
# What a running device is, one "key value" line a fact; nothing is changed. A fact that cannot be had is left out.

kernel=$(uname -r)
fact kernel "$kernel"
if [ -f "$groundhog_root/proc/modules" ]; then # without it the kernel can load none
	fact modules "$(grep -c '' "$groundhog_root/proc/modules")"
else
	fact modules 0
fi
fact arch "$(dpkg --print-architecture 2>/dev/null || uname -m)"
fact hostname "$(uname -n)"
if [ -f "$groundhog_root/etc/os-release" ]; then
	while IFS= read -r line; do
		value=${line#*=}
		value=${value#[\"\']}
		value=${value%[\"\']}
		case $line in
		VERSION_CODENAME=*) fact release "$value" ;;
		ID=*) fact distribution "$value" ;;
		esac
	done <"$groundhog_root/etc/os-release"
fi
fact board "$(attribute "$groundhog_root/proc/device-tree/compatible")"
line "$groundhog_root/proc/sys/kernel/random/boot_id"
fact boot_id "$line"
# Of memory the kernel says "MemTotal:  500000 kB".
if [ -f "$groundhog_root/proc/meminfo" ]; then
	while read -r key value _; do
		case $key in
		MemTotal:) fact memory "$value" ;;
		MemAvailable:) fact memory_available "$value" ;;
		esac
	done <"$groundhog_root/proc/meminfo"
fi
fact machine "$(uname -m)"
case $(uname -m) in
aarch64) efi_removable=/EFI/BOOT/BOOTAA64.EFI ;;
*) efi_removable=/EFI/BOOT/BOOTX64.EFI ;;
esac

# room DIR KEY: KiB free for root, files that can be made where their number is bounded, and whether it can be written to.
room() {
	[ -d "$groundhog_root$1" ] || return
	# shellcheck disable=SC2046 # words
	set -- "$1" "$2" $(stat -f -c '%f %S %c %d %T' "$groundhog_root$1")
	fact "$2_free" $(($3 * ($4 / 512) / 2))
	[ "$5" = 0 ] || fact "$2_files" "$6"
	fact "$2_type" "$7"
	fact "$2_perm" "$(stat -c %a "$groundhog_root$1" 2>/dev/null)" # on FAT the mount's, of every file
	mounted=$(findmnt -n -o OPTIONS,TARGET -T "$groundhog_root$1" 2>/dev/null) # options have no blanks
	case $mounted in
	*' '*) fact "$2_mount" "/${mounted#* */}" ;;
	esac
	case ,${mounted%% *}, in
	*,ro,*) fact "$2_readonly" yes ;;
	esac
}
room /boot boot
room /var/lib state

initrd=$groundhog_root/boot/initrd.img-$kernel
if [ -f "$initrd" ] && [ ! -L "$initrd" ]; then
	fact initrd "/boot/initrd.img-$kernel"
	fact initrd_size "$(stat -c %s "$initrd")"
	fact initrd_magic "$(head -c 4 "$initrd" | od -An -tx1 | tr -d ' ')"
elif [ -e "$initrd" ]; then
	fact initrd_odd "$(ls -ld "$initrd")"
fi
for loader in grub/grub.cfg extlinux/extlinux.conf loader/entries uInitrd boot.scr firmware/config.txt config.txt; do
	[ ! -e "$groundhog_root/boot/$loader" ] || fact loader "$loader"
done
for esp in /boot/efi /efi; do
	[ ! -d "$groundhog_root$esp/loader/entries" ] || fact loader loader/entries
done

# grub_next FILE: which kernel the first menu entry boots, and which entry is the default if that is not the first one.
grub_next() {
	default=$(sed -n 's/^[[:space:]]*set default="\(.*\)"[[:space:]]*$/\1/p' "$1" | grep -v next_entry | tail -n 1)
	# shellcheck disable=SC2016 # GRUB's variable
	[ "$default" != '${saved_entry}' ] || default=$(sed -n 's/^saved_entry=//p' "${1%/*}/grubenv" 2>/dev/null)
	[ "${default:-0}" = 0 ] || fact grub_default "$default"
	fact grub_next "$(sed -n 's/^[[:space:]]*linux[a-z0-9]*[[:space:]]\{1,\}[^[:space:]]*\/vmlinuz-\([^[:space:]]*\).*/\1/p' "$1" | head -n 1)"
}
# names CONFIG: whether a line that is no comment names the running kernel's initramfs.
names() { grep -v '^[[:space:]]*#' "$1" | grep -qi "initrd.*/initrd\\.img-$kernel\\([^a-z0-9._+~-]\\|\$\\)"; }
if [ -f "$groundhog_root/boot/grub/grub.cfg" ]; then
	! names "$groundhog_root/boot/grub/grub.cfg" || fact named grub
	grub_next "$groundhog_root/boot/grub/grub.cfg"
	# All of it, to be read as GRUB does; a custom.cfg may change anything.
	[ -e "$groundhog_root/boot/grub/custom.cfg" ] || {
		tr '\t\r' '  ' <"$groundhog_root/boot/grub/grub.cfg" | sed -n '/^ *\(#.*\)\{0,1\}$/!s/^ */grub_cfg /p'
		sed -n 's/^[a-z_]*_entry=/grub_env &/p' "$groundhog_root/boot/grub/grubenv" 2>/dev/null
	}
fi
# What the default label boots, or without one the first, as U-Boot reads it (boot/pxe_utils.c): words of any case, a value up to the end of its line, of two initrd
# lines the first, and one in append where there is none. SYSLINUX has several files behind commas. What an include names is read in its place, at most so
# deep; it ends the label before it. A name with a slash begins on the filesystem that /boot is on, another one beside extlinux.conf.
[ ! -f "$groundhog_root/boot/extlinux/extlinux.conf" ] || awk -v ours="/initrd.img-$kernel" -v root="$groundhog_root" '
	function include(name, depth) {
		if (depth > 16 || name == "") return
		if (name !~ /^\//) take(root "/boot/extlinux/" name, depth)
		else if (!take(root "/boot" name, depth)) take(root name, depth)
	}
	function take(file, depth,   text, any) {
		if (file in taken) return 1 # a ring, in which getline would begin anew
		taken[file] = 1
		while ((getline text <file) > 0) { any = 1; read(text, depth) }
		close(file); delete taken[file]
		return any
	}
	function read(text, depth,   word, value) {
		$0 = text
		word = tolower($1); value = text; sub(/^[ \t]*[^ \t]*[ \t]*/, "", value); sub(/[ \t\r]*$/, "", value)
		if (word == "menu" && tolower($2) == "include") { word = "include"; sub(/^[^ \t]*[ \t]*/, "", value) }
		if (word == "include") { include(value, depth + 1); label = "" }
		if (word == "default" || word == "ontimeout") wanted = value
		if (word == "label") { label = value; known[label] = 1; if (first == "") first = label }
		if (word == "menu" && tolower($2) == "default" && menu == "") menu = label
		if (word == "linux" || word == "kernel") { sub(/[ \t#].*/, "", value); file[label] = value }
		if (word == "append" && !(label in initrd) && match(value, /initrd=[^ \t]*/)) initrd[label] = substr(value, RSTART + 7, RLENGTH - 7)
		if (word == "initrd" && !(label in initrd)) initrd[label] = value
	}
	BEGIN {
		take(root "/boot/extlinux/extlinux.conf", 0)
		if (!(wanted in known)) wanted = menu == "" ? first : menu
		if (sub(/.*\/vmlinuz-/, "", file[wanted])) print "extlinux_next " file[wanted]
		for (n = split(initrd[wanted], names, ","); n; n--) if (substr(names[n], length(names[n]) - length(ours) + 1) == ours) print "named extlinux"
	}'
config=$groundhog_root/boot/firmware/config.txt
if [ -f "$config" ]; then
	room /boot/firmware firmware
	sed -n 's/^[[:space:]]*initramfs[[:space:]]*//p' "$config" | facts firmware_initramfs
	fact firmware_auto "$(sed -n 's/^[[:space:]]*auto_initramfs=//p' "$config")"
	for image in kernel8.img kernel_2712.img; do
		! cmp -s "$groundhog_root/boot/vmlinuz-$kernel" "${config%/*}/$image" || fact firmware_kernel "$image"
	done
	fact firmware_odd "$(sed -n 's/^[[:space:]]*\(include\|os_prefix\|ramfsfile\)[= ].*/\1/p' "$config")$(sed -n 's/^[[:space:]]*tryboot_a_b=1.*/tryboot_a_b/p' "${config%/*}/autoboot.txt" 2>/dev/null)"
	sed -n 's/^[[:space:]]*kernel=//p' "$config" | facts firmware_image
	name=$(sed -n 's/^initramfs  *\([^ ]*\).*/\1/p' "$config" | head -n 1)
	case $name in
	'' | */* | .*) ;;
	*) fact firmware_size "$(stat -c %s "$groundhog_root/boot/firmware/$name" 2>/dev/null)" ;;
	esac
fi
# What the firmware and the loaders say of this boot.
[ ! -d "$groundhog_root/sys/firmware/efi" ] || fact efi yes
fact loader_info "$(efi_text "$efivars/LoaderInfo-$loader_guid")"
for stub in "$efivars"/StubInfo-*; do
	[ -e "$stub" ] || continue
	text=$(efi_text "$stub")
	fact stub_info "${text:-unknown}"
done
fact loader_default "$(efi_text "$efivars/LoaderEntryDefault-$loader_guid")"
started=
[ ! -d "$efivars" ] || started=$(bootnext_partition)
fact bootnext_part "$started"
part=$(efi_text "$efivars/LoaderDevicePartUUID-$loader_guid" | tr A-F a-f)
part=${part:-$started}
places=
for esp in /efi /boot /boot/efi; do
	[ -n "$part" ] || break
	ls "$groundhog_root$esp/." >/dev/null 2>&1 # which mounts what is mounted on demand
	source=$(findmnt -n -o SOURCE -t vfat -M "$groundhog_root$esp" 2>/dev/null)
	[ "$(lsblk -n -d -o PARTUUID "${source:-/dev/null}" 2>/dev/null | tr A-F a-f)" = "$part" ] || continue
	fact esp "$esp"
	places=$esp
	[ "$part" != "$started" ] || [ ! -d "$groundhog_root$esp/EFI" ] || fact bootnext yes
	room "$esp" esp
	# Blanks may stand before a line's word, and its value in quotes (line_get_key_value in systemd's boot.c).
	sed -n 's/\r$//; s/^[[:space:]]*default[[:space:]]\{1,\}"\{0,1\}\([^"]*\).*/\1/p' "$groundhog_root$esp/loader/loader.conf" 2>/dev/null | facts loader_default
	[ ! -e "$groundhog_root$esp/loader/entries/groundhog.conf" ] || fact esp_entry yes
	[ ! -e "$groundhog_root$esp/groundhog" ] || fact esp_entry yes
	for entry in "$groundhog_root$esp"/loader/entries/*.conf "$groundhog_root$esp"/EFI/Linux/*.efi; do
		case $entry in
		*/groundhog.conf | *'/*.'*) ;;
		*.efi) fact esp_sorted yes ;; # a unified image's is in its os-release
		*) ! grep -q '^sort-key[[:space:]]' "$entry" || fact esp_sorted yes ;;
		esac
	done
	break
done
case ,$(findmnt -n -o OPTIONS -M "$efivars" 2>/dev/null), in
*,ro,*) fact efivars_readonly yes ;;
esac
fact secure_boot "$(od -An -tu1 -j4 -N1 "$efivars/SecureBoot-$efi_global" 2>/dev/null | tr -d ' ')"
if [ -d "$efivars" ]; then
	program=$(efi_program)
	fact efi_file "$program"
	# Where the firmware names no file it started the one that it looks for (UEFI specification, 3.5.1.1). rEFInd has no variable that says that it was there.
	program=$(printf %s "${program:-$efi_removable}" | tr '\134' /)
	[ -n "$part" ] || places='/efi /boot /boot/efi'
	for esp in $places; do
		[ -f "$groundhog_root$esp$program" ] || continue
		! tr -d '\000' <"$groundhog_root$esp$program" | LC_ALL=C grep -aq rEFInd || fact efi_refind yes
		break
	done
fi

# What each way needs besides, which its own file says. Their names are the arguments.
for way; do ! has "survey_$way" || "survey_$way"; done

# What starting another kernel from this one needs, and what would make a kexec of a reboot.
fact kexec_file "$(sed -n 's/^CONFIG_KEXEC_FILE=//p' "$groundhog_root/boot/config-$kernel" 2>/dev/null)"
line "$groundhog_root/proc/sys/kernel/kexec_load_disabled"
fact kexec_disabled "$line"
line "$groundhog_root/sys/kernel/kexec_loaded"
fact kexec_loaded "$line"
[ ! -f "$groundhog_root/boot/vmlinuz-$kernel" ] || fact kernel_size "$(stat -c %s "$groundhog_root/boot/vmlinuz-$kernel")"
[ ! -x "$groundhog_root/sbin/kexec" ] || fact load_kexec "$(sed -n 's/^[[:space:]]*LOAD_KEXEC=//p' "$groundhog_root/etc/default/kexec" 2>/dev/null | tr -d \"\' | tail -n 1)"
for dog in "$groundhog_root"/sys/class/watchdog/watchdog*; do
	line "$dog/state"
	[ "$line" != active ] || { line "$dog/timeout" && fact watchdog "${dog##*/}, $line s"; }
done

# Who came here comes over this interface.
address=${SSH_CONNECTION#* * }
address=${address%% *}
fact address "$address"
if has ip; then
	line=$(ip -o addr show 2>/dev/null | grep -F " $address/" | head -n 1)
	[ -n "$address" ] && [ -n "$line" ] || line=
	# shellcheck disable=SC2086 # words
	set -- $line
	interface=${2-}
	if [ -n "$interface" ]; then
		fact interface "$interface"
		fact prefix "$4"
		case " $line " in *' dynamic '*) fact dynamic yes ;; esac
		line "$groundhog_root/sys/class/net/$interface/address"
		fact mac "$line"
		line "$groundhog_root/sys/class/net/$interface/addr_assign_type"
		fact mac_assigned "$line"
		fact gateway "$(ip -4 route show default dev "$interface" 2>/dev/null | sed -n 's/^default via \([0-9.]*\).*/\1/p' | head -n 1)"
		line "$groundhog_root/sys/class/net/$interface/type"
		fact port "$line"
		[ ! -e "$groundhog_root/sys/class/net/$interface/wireless" ] || fact wireless yes
		[ ! -e "$groundhog_root/sys/class/net/$interface/bridge" ] || fact stacked bridge
		[ ! -e "$groundhog_root/sys/class/net/$interface/bonding" ] || fact stacked bond
	fi
fi

source=$(findmnt -n -o SOURCE / 2>/dev/null | sed 's/\[.*//')
fact root "$source"
if has lsblk && [ -b "$source" ]; then
	lsblk -s -n -r -o TYPE "$source" 2>/dev/null | sort -u | while read -r type; do fact root_on "$type"; done
	disk=$(lsblk -s -n -r -p -o NAME,TYPE "$source" 2>/dev/null | sed -n 's/ disk$//p' | sort -u)
	for d in $disk; do
		disk_facts "$d"
		if dd if="$d" bs=440 count=1 2>/dev/null | grep -aq GRUB; then fact mbr grub; fi
	done
fi
[ ! -r "$groundhog_root/var/lib/groundhog/state" ] || {
	pushed='' pushed_way='' pushed_file=''
	while read -r key value; do
		case $key in
		pushed) pushed=$value ;;
		way) pushed_way=$value ;;
		file) pushed_file=$value ;;
		esac
	done <"$groundhog_root/var/lib/groundhog/state"
	fact pushed "$pushed"
	fact pushed_way "$pushed_way"
	# It may still be in the place of another kernel's initramfs. In its own the original is kept already.
	if [ "$pushed_way" = replace ] && [ -f "$pushed_file" ]; then
		hash=$(sha256sum <"$pushed_file")
		if ! grep -qxF "pushed ${hash%% *}" "$groundhog_root/var/lib/groundhog/state"; then
			:
		elif [ "$pushed_file" = "$initrd" ]; then
			fact pushed_kept yes
		else
			fact pushed_other "$pushed_file"
		fi
	fi
}
for program in sha256sum sync cmp awk dd stat flock; do
	has "$program" || fact missing "$program"
done
[ "$(id -u)" = 0 ] && fact root_login yes
[ ! -d "$groundhog_root/run/systemd/system" ] || fact systemd yes
fact end ok
