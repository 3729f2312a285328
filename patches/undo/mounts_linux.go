package undo

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// leadsOut is where else than in the tree a directory of the tree is, "" for nowhere. A kernel that does not number its mounts
// (statx(2), before Linux 5.8) tells nothing.
func leadsOut(top, dir *os.File) (string, error) {
	a, okA := mountOf(top)
	b, okB := mountOf(dir)
	if !okA || !okB || a == b {
		return "", nil
	}
	root, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", top.Fd()))
	if err != nil {
		return "", fmt.Errorf("which directory a mount has: %w", err)
	}
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return "", fmt.Errorf("which directory a mount has: %w", err)
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("which directory a mount has: %w", err)
	}
	all, err := readMounts(string(text))
	return outsideOf(all, b, at, root), err
}

// mountOf is the number of the mount that a file is in.
func mountOf(f *os.File) (int, bool) {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
	return int(st.Mnt_id), err == nil && st.Mask&unix.STATX_MNT_ID != 0
}
