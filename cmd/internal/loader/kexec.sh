# shellcheck shell=dash
# shellcheck disable=SC2154 # set by common.sh
# Runs groundhog-writer's kexec on the running system, from memory: nothing is written to a disk. /run may not be executed from, and
# any directory may be on a disk, so the program gets a tmpfs of its own. Standard input is the program and then what it reads.
#
#   kexec.sh BYTES ARGUMENT...
#
# Exit: the program's; 1 when nothing was changed.

bytes=$1
shift
dir=$groundhog_root/run/groundhog-kexec

drop() {
	umount "$dir" 2>/dev/null
	rmdir "$dir" 2>/dev/null
	rm -f "$lock"
}

take_lock
trap drop EXIT
trap 'exit 1' HUP INT TERM PIPE
umask 077
umount "$dir" 2>/dev/null # of a run that was killed
{ mkdir -p "$dir" && mount -t tmpfs -o mode=700,nosuid,nodev,exec,size=32m groundhog-kexec "$dir"; } || refuse "mounting a tmpfs at $dir failed"
head -c "$bytes" >"$dir/groundhog-writer" || refuse "writing $dir/groundhog-writer failed"
chmod 700 "$dir/groundhog-writer"
# What is loaded must not outlive a lost connection unstarted: the program sees its end, and is not to be killed before.
trap '' HUP INT TERM PIPE
"$dir/groundhog-writer" kexec "$@"
