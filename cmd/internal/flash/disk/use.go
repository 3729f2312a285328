package disk

import (
	"io/fs"
	"strings"
)

// diskUses is what uses block devices: mount points by "major:minor", swaps by path.
type diskUses struct{ mounts, swaps map[string]string }

func findUses(root fs.FS) diskUses {
	u := diskUses{map[string]string{}, map[string]string{}}
	mounts, _ := fs.ReadFile(root, "proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 {
			u.mounts[f[2]] = f[4]
		}
	}
	swaps, _ := fs.ReadFile(root, "proc/swaps")
	for line := range strings.Lines(string(swaps)) {
		if f := strings.Fields(line); len(f) > 0 {
			u.swaps[f[0]] = "swap"
		}
	}
	return u
}

// useOf says what uses a disk or a part of it, "" for nothing.
func (u diskUses) useOf(root fs.FS, sys, name string) string {
	entries, _ := fs.ReadDir(root, sys)
	parts := []string{""}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), name) {
			parts = append(parts, e.Name())
		}
	}
	for _, part := range parts {
		dir, dev := sys, name
		if part != "" {
			dir, dev = sys+"/"+part, part
		}
		if at := u.mounts[readAttribute(root, dir+"/dev")]; at != "" {
			return "/dev/" + dev + " is mounted on " + sysfsLine(at)
		}
		if u.swaps["/dev/"+dev] != "" {
			return "/dev/" + dev + " is swapped on"
		}
		if holders, _ := fs.ReadDir(root, dir+"/holders"); len(holders) > 0 {
			return "/dev/" + dev + " is held by " + sysfsLine(holders[0].Name())
		}
	}
	return ""
}
