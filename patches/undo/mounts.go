package undo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// ErrOutside is wrapped by errors about a mount in a root tree that has a directory from outside of it.
var ErrOutside = errors.New("it is a directory outside of the root tree as well")

// Inside refuses changes in a root tree, and the removal of the empty directories, that would change something outside of it: os.Root
// keeps to the tree by names, and a bind mount shows a directory from elsewhere under a name in the tree. The partitions of an image
// may be mounted in the tree, where they are mounted nowhere else.
func Inside(dir string, empty []string, groups ...[]Change) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return checkInside(root, empty, groups)
}

func checkInside(root *os.Root, empty []string, groups [][]Change) error {
	looked := map[string]bool{}
	look := func(name string) error {
		at := path.Dir(name)
		if looked[at] {
			return nil
		}
		looked[at] = true
		return insideAt(root, at)
	}
	for _, group := range groups {
		for _, c := range group {
			if err := look(c.Path); err != nil {
				return err
			}
		}
	}
	for _, name := range empty {
		if err := look(name); err != nil {
			return err
		}
	}
	return nil
}

// insideAt looks at a directory of the tree, or at the one that it will be made in.
func insideAt(root *os.Root, at string) error {
	d, err := root.Open(at)
	for errors.Is(err, fs.ErrNotExist) && at != "." {
		at = path.Dir(at)
		d, err = root.Open(at)
	}
	if err != nil {
		return err
	}
	defer d.Close()
	top, err := root.Open(".")
	if err != nil {
		return err
	}
	defer top.Close()
	out, err := leadsOut(top, d)
	if err == nil && out != "" {
		err = fmt.Errorf("%s: %w, %s", at, ErrOutside, out)
	}
	return err
}

// mountLine is a line of mountinfo (proc_pid_mountinfo(5)).
type mountLine struct {
	id     int
	device string // major:minor of the filesystem
	root   string // which of the filesystem's directories it has
	point  string // where it has it
}

// readMounts reads mountinfo.
func readMounts(text string) (all []mountLine, err error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 {
			return nil, fmt.Errorf("mountinfo: %q", line)
		}
		id, err := strconv.Atoi(f[0])
		if err != nil {
			return nil, fmt.Errorf("mountinfo: %q", line)
		}
		all = append(all, mountLine{id, f[2], unescapeMount(f[3]), unescapeMount(f[4])})
	}
	return all, nil
}

// unescapeMount undoes what the kernel does to blanks and backslashes: \040 for a space.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// outsideOf is where else than below root a directory is that the mount with this id has at the path at; "" for nowhere.
func outsideOf(all []mountLine, id int, at, root string) string {
	for _, m := range all {
		if m.id != id {
			continue
		}
		in := path.Join(m.root, strings.TrimPrefix(at, m.point)) // the filesystem's name for it
		for _, other := range all {
			if other.device != m.device || !isBelow(in, other.root) {
				continue
			}
			if there := path.Join(other.point, strings.TrimPrefix(in, other.root)); !isBelow(there, root) {
				return there
			}
		}
	}
	return ""
}

// isBelow reports whether a path is that of a directory or of something in it.
func isBelow(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
