package sidefile

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// TakeTurn waits until no other run has its turn in a directory, at most for so long, and reports whether it is ours then, until dir is closed. The lock is the
// directory's own (flock(2)): it leaves nothing behind, and ends with its process. Whoever can read a directory can lock it. Where there are no locks it is
// everybody's turn.
func TakeTurn(dir *os.File, longest time.Duration) bool {
	for late := time.Now().Add(longest); ; time.Sleep(time.Millisecond) {
		if unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) != unix.EWOULDBLOCK {
			return true
		}
		if time.Now().After(late) {
			return false
		}
	}
}
