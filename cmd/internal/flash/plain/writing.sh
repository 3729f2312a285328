# shellcheck shell=sh disable=SC2154
# What says on the device that a disk is neither old nor new (`writing`, while it is there the device never boots), or
# that it is new (`verified`): a file in $run with a line "KIND ID DISK" for each such disk, as groundhog-writer keeps
# it. The script behind this sets $run, $disk and $id, which is another one for each run: a flash that lost
# its connection meanwhile sees that the disk is no longer as it left it.

others() { grep -v " $disk\$" "$run/$1" 2>/dev/null; }

# mark FILE KIND: the disk's line goes in, in place of one that it had.
mark() {
	{ others "$1"; printf '%s %s %s\n' "$2" "$id" "$disk"; } >"$run/$1.new" && mv -f "$run/$1.new" "$run/$1"
}

# unmark FILE: it goes out, and the file with the last one.
unmark() {
	if others "$1" >"$run/$1.new"; then
		mv -f "$run/$1.new" "$run/$1"
	else
		rm -f "$run/$1" "$run/$1.new"
	fi
}
