# shellcheck shell=sh
# What a flash has left of a disk, in a line: writing (neither old nor new), verified or none, and who wrote to it, "KIND ID". Where
# there is a groundhog-writer it waits until nobody is at work any more; else its files are read, which a pipeline keeps, too.
#
#   state.sh DISK

: "${groundhog_root:=}"
! command -v groundhog-writer >/dev/null || exec groundhog-writer state "$1"
for state in writing verified; do
	by=$(grep " $1\$" "$groundhog_root/run/groundhog/$state" 2>/dev/null | tail -n 1)
	if [ -n "$by" ]; then
		echo "$state ${by% *}"
		exit
	fi
done
echo none
