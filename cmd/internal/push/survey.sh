# shellcheck shell=dash
# What a running device is, one "key value" line a fact; nothing is changed. A fact that cannot be had is left out.

kernel=$(uname -r)
fact kernel "$kernel"
fact arch "$(dpkg --print-architecture 2>/dev/null || uname -m)"
fact hostname "$(uname -n)"
fact release "$(sed -n 's/^VERSION_CODENAME=//p' "$groundhog_root/etc/os-release" 2>/dev/null | tr -d \")"
fact distribution "$(sed -n 's/^ID=//p' "$groundhog_root/etc/os-release" 2>/dev/null | tr -d \")"
fact board "$(attribute "$groundhog_root/proc/device-tree/compatible")"
fact boot_id "$(cat "$groundhog_root/proc/sys/kernel/random/boot_id")"
fact memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' "$groundhog_root/proc/meminfo")"
fact machine "$(uname -m)"

# room DIR KEY: KiB free for root, and whether it can be written to.
room() {
	[ -d "$groundhog_root$1" ] || return
	# shellcheck disable=SC2046 # two numbers
	set -- "$1" "$2" $(stat -f -c '%f %S' "$groundhog_root$1")
	fact "$2_free" $(($3 * ($4 / 512) / 2))
	fact "$2_type" "$(stat -f -c %T "$groundhog_root$1")"
	fact "$2_mount" "$(findmnt -n -o TARGET -T "$groundhog_root$1" 2>/dev/null)"
	case ,$(findmnt -n -o OPTIONS -T "$groundhog_root$1" 2>/dev/null), in
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
if [ -f "$groundhog_root/boot/grub/grub.cfg" ]; then
	! grep -q "initrd.*/initrd\\.img-$kernel" "$groundhog_root/boot/grub/grub.cfg" || fact named grub
fi
if [ -f "$groundhog_root/boot/extlinux/extlinux.conf" ]; then
	! grep -qi "initrd.*/initrd\\.img-$kernel" "$groundhog_root/boot/extlinux/extlinux.conf" || fact named extlinux
fi
config=$groundhog_root/boot/firmware/config.txt
if [ -f "$config" ]; then
	room /boot/firmware firmware
	fact firmware_initramfs "$(sed -n 's/^[[:space:]]*initramfs[[:space:]]*//p' "$config")"
	fact firmware_auto "$(sed -n 's/^[[:space:]]*auto_initramfs=//p' "$config")"
	name=$(sed -n 's/^initramfs  *\([^ ]*\).*/\1/p' "$config" | head -n 1)
	case $name in
	'' | */* | .*) ;;
	*) fact firmware_size "$(stat -c %s "$groundhog_root/boot/firmware/$name" 2>/dev/null)" ;;
	esac
fi
if ls "$groundhog_root"/sys/firmware/efi/efivars/StubInfo-* >/dev/null 2>&1; then fact uki yes; fi
# The value follows four bytes of attributes (efivarfs).
fact secure_boot "$(od -An -tu1 -j4 -N1 "$groundhog_root"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>/dev/null | tr -d ' ')"
for dog in "$groundhog_root"/sys/class/watchdog/watchdog*; do
	[ "$(attribute "$dog/state")" != active ] || fact watchdog "${dog##*/}, $(attribute "$dog/timeout") s"
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
		fact mac "$(attribute "$groundhog_root/sys/class/net/$interface/address")"
		fact mac_assigned "$(attribute "$groundhog_root/sys/class/net/$interface/addr_assign_type")"
		case " $line " in *' dynamic '*) fact dynamic yes ;; esac
		fact gateway "$(ip -4 route show default dev "$interface" 2>/dev/null | sed -n 's/^default via \([0-9.]*\).*/\1/p' | head -n 1)"
		fact port "$(attribute "$groundhog_root/sys/class/net/$interface/type")"
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
	for d in $disk; do disk_facts "$d"; done
fi
[ ! -r "$groundhog_root/var/lib/groundhog/state" ] || fact pushed "$(sed -n 's/^pushed //p' "$groundhog_root/var/lib/groundhog/state" | tail -n 1)"
for program in sha256sum sync cmp awk dd stat; do
	has "$program" || fact missing "$program"
done
[ "$(id -u)" = 0 ] && fact root_login yes
[ ! -d "$groundhog_root/run/systemd/system" ] || fact systemd yes
fact end ok
