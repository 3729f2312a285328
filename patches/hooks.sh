#!/bin/sh
# shellcheck disable=SC2015 # A && B || C means just that
# Completes what Debian's dropbear hook puts into the initramfs. Written by `groundhog hooks`, run
# by mkinitramfs with DESTDIR set to the tree that the initramfs is made from.
#
# Reads /usr/share/initramfs-tools/groundhog:
#   continue      the command that ends the wait
#   shell         root's login shell, where its sessions have no sbin in PATH
#   writer        groundhog-writer, where it is wanted
#   ca.pem        certificates, instead of the system's own
#   patches.json  the record of what was done

PREREQ="dropbear"

case "${1-}" in
prereqs)
	echo "$PREREQ"
	exit 0
	;;
esac

: "${groundhog_root:=}" # a test's own directory; empty in mkinitramfs
: "${DESTDIR:?}"
own=$groundhog_root/usr/share/initramfs-tools/groundhog

fail() {
	echo "E: groundhog: $*" >&2
	exit 1
}

# add FILE PATH: puts the file at PATH in the initramfs, with the umask that mkinitramfs has.
add() {
	mkdir -p "$DESTDIR/${2%/*}" && cat "$1" >"$DESTDIR/$2" || fail "could not write $2"
}

# program FILE PATH: the same for a program.
program() {
	add "$1" "$2"
	chmod 0755 "$DESTDIR/$2" || fail "could not write $2"
}

# login: root's shell becomes ours. dropbear takes only a shell that etc/shells lists.
login() {
	program "$own/shell" usr/bin/groundhog-shell
	sed -i '/^root:/s|:[^:]*$|:/usr/bin/groundhog-shell|' "$DESTDIR/etc/passwd" &&
		grep -q '^root:.*:/usr/bin/groundhog-shell$' "$DESTDIR/etc/passwd" ||
		fail "could not set root's shell in etc/passwd"
	printf '%s\n' /bin/sh /usr/bin/groundhog-shell >>"$DESTDIR/etc/shells" ||
		fail "could not write etc/shells"
}

# certificates: for curl, the first of the two that there is.
certificates() {
	for pem in "$own/ca.pem" "$groundhog_root/etc/ssl/certs/ca-certificates.crt"; do
		if [ -s "$pem" ]; then
			add "$pem" etc/ssl/certs/ca-certificates.crt
			return
		fi
	done
}

# epoch: the least that the clock of a board without a battery may say.
epoch() {
	now=$(stat -c %Y "$DESTDIR/conf/arch.conf") || fail "no conf/arch.conf"
	if [ -n "${SOURCE_DATE_EPOCH-}" ] && [ "$now" -gt "$SOURCE_DATE_EPOCH" ]; then
		now=$SOURCE_DATE_EPOCH
	fi
	echo "GROUNDHOG_EPOCH=$now" >>"$DESTDIR/scripts/groundhog/conf" ||
		fail "could not write scripts/groundhog/conf"
}

# A new version of dropbear-initramfs brings its own scripts back; without our line in them the
# rest is of no use.
if ! grep -qxF '. /scripts/groundhog/network' "$DESTDIR/scripts/init-premount/dropbear"; then
	rm -f "$DESTDIR/scripts/init-premount/groundhog"
	echo "W: groundhog: dropbear's script was replaced, this initramfs will not wait:" \
		"run groundhog hooks again" >&2
	exit 0
fi

program "$own/continue" usr/bin/groundhog-continue
[ ! -e "$own/writer" ] || program "$own/writer" sbin/groundhog-writer
[ ! -e "$own/shell" ] || login
[ ! -e "$DESTDIR/bin/curl" ] || certificates
epoch
add "$own/patches.json" etc/groundhog/patches.json
exit 0
