package extract

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/initrd"
	"groundhog/initrd/show"
)

// enterDir makes dir the directory that is worked in.
func (x *extractor) enterDir(dir string) error {
	if x.at != nil && dir == x.name {
		return nil
	}
	from, rest := x.top, dir
	if below, ok := strings.CutPrefix(dir, x.name+"/"); ok && x.at != nil {
		from, rest = x.at, below
	}
	at, err := from.OpenRoot(rest)
	if err != nil {
		return err
	}
	fd, err := at.Open(".")
	if err != nil {
		at.Close()
		return err
	}
	x.leaveDir()
	x.at, x.fd, x.name = at, fd, dir
	return nil
}

func (x *extractor) leaveDir() {
	if x.at != nil {
		x.fd.Close()
		x.at.Close()
	}
	x.at = nil
}

// finishDir gives a directory its own attributes.
func (x *extractor) finishDir(name string, e *initrd.Entry) error {
	if err := x.enterDir(path.Dir(name)); err != nil {
		return err
	}
	return x.setAttributes(path.Base(name), e)
}

// setAttributes gives what was made at base, in the directory that is worked in,
// owner, mode and time of e. The owner comes first: changing it takes setuid
// and setgid away.
func (x *extractor) setAttributes(base string, e *initrd.Entry) error {
	owned, err := x.setOwner(base, e)
	if err != nil {
		return err
	}
	if !e.IsLink() {
		if err := x.at.Chmod(base, x.modeOf(e, owned)); err != nil {
			return err
		}
	}
	t := unix.NsecToTimespec(time.Unix(int64(e.Mtime), 0).UnixNano())
	return unix.UtimesNanoAt(int(x.fd.Fd()), base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

// topTime gives the top directory e's time. Its owner and mode stay those of one
// that nobody else can look into.
func (x *extractor) topTime(e *initrd.Entry) error {
	t := time.Unix(int64(e.Mtime), 0)
	return x.top.Chtimes(".", t, t)
}

// setOwner gives base e's owner, and says whether it has it.
func (x *extractor) setOwner(base string, e *initrd.Entry) (bool, error) {
	if !x.root {
		if owned := e.UID == uint32(os.Geteuid()) && e.GID == uint32(os.Getegid()); !owned {
			x.owners++
		}
		return false, nil
	}
	err := x.at.Lchown(base, int(e.UID), int(e.GID))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		x.owners++ // root of a user namespace that does not have this owner
		return false, nil
	}
	return err == nil, err
}

// modeOf is e's permission bits; setuid and setgid only where they are asked for. A
// file that belongs to whoever unpacks it must not run as him for everybody else, so
// they need the owner that root has set, too.
func (x *extractor) modeOf(e *initrd.Entry, owned bool) fs.FileMode {
	m := fs.FileMode(e.Perm() & 0o777)
	if e.Perm()&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	if e.Perm()&0o6000 != 0 && !(owned && x.special) {
		x.setuid++
		return m
	}
	if e.Perm()&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if e.Perm()&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	return m
}

// makeNode makes a device node, pipe or socket.
func (x *extractor) makeNode(base string, e *initrd.Entry) error {
	return makeNode(int(x.fd.Fd()), base, e.Type()|0o600, e.Rdev)
}

// allNotes says what is not as the archive has it.
func (x *extractor) allNotes() (all []string) {
	for _, n := range []struct {
		n       int
		of, why string
	}{
		{x.devices, "device node", "left out: --special makes them, as root"},
		{x.owners, "entry", "with another owner than in the archive: only root can set it"},
		{x.setuid, "entry", "without setuid and setgid bits: --special keeps them, as root"},
		{len(x.img.Ignored()), "entry", "left out: the kernel does not unpack such either"},
	} {
		if n.n > 0 {
			all = append(all, show.Count(n.n, n.of)+" "+n.why)
		}
	}
	return all
}
