# shellcheck shell=sh disable=SC2154
# What says on the device that a disk is neither old nor new (`writing`, while it is there the device never boots), or
# that it is new (`verified`): a file in $run with a line "KIND ID DISK" for each such disk, as groundhog-writer keeps
# it. The script behind this sets $run, $disk and $id, which is another one for each run: a flash that lost
# its connection meanwhile sees that the disk is no longer as it left it.

others() { grep -v " $disk\$" "$run/$1" 2>/dev/null; }

# mark FILE KIND: the disk's line goes in, in place of one that it had.
mark() { put_line "$1" "$2 $id $disk"; }

# put_line FILE LINE: this is the disk's line.
put_line() {
	{ others "$1"; printf '%s\n' "$2"; } >"$run/$1.new" && mv -f "$run/$1.new" "$run/$1"
}

# unmark FILE: it goes out, and the file with the last one.
unmark() {
	if others "$1" >"$run/$1.new"; then
		mv -f "$run/$1.new" "$run/$1"
	else
		rm -f "$run/$1" "$run/$1.new"
	fi
}

# start_of PID: when a process began, in ticks since the boot (proc(5)), which no other one of that number did.
start_of() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# take_claim: one pipeline at a time, and none beside a writer. There is no flock. So each puts its claim there before it looks
# for others': of two at once the later one to look sees the other, maybe both, and whoever sees one is refused. The
# claim of a process that is no more counts for nothing, whatever its number is used for since.
take_claim() {
	claims=$run/plain.by
	claim=$claims/$$.$(start_of $$)
	{ mkdir -p "$claims" && printf '%s\n' "$who" >"$claim.new"; } || refuse "making $claim failed"
	mv -f "$claim.new" "$claim" || refuse "making $claim failed"
	for other in "$claims"/*; do
		name=${other##*/}
		case $name in
		"${claim##*/}" | *.new) ;;
		"${name%%.*}.$(start_of "${name%%.*}")") refuse "another flash is at work: $(head -n 1 "$other" 2>/dev/null)" ;;
		*) rm -f "$other" ;;
		esac
	done
	if [ -e "$run/flash.lock" ] && grep -q ":$(stat -c %i "$run/flash.lock") " "$groundhog_root/proc/locks" 2>/dev/null; then
		refuse "another flash is at work: $(head -n 1 "$run/flash.lock")"
	fi
}
