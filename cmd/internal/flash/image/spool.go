package image

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/hint"
	"groundhog/initrd/show"
)

// unnamedFile is a file without a name, which is gone when it is closed. It may become large, so it is not in /tmp, which may be memory
// (file-hierarchy(7)). A filesystem with room for less than so many bytes is refused.
func unnamedFile(least int64) (*os.File, error) {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		dir = "/var/tmp"
	}
	f, err := os.CreateTemp(dir, "groundhog-image-*")
	if err != nil {
		return nil, notKept(err)
	}
	if err = os.Remove(f.Name()); err == nil && freeRoom(f) < least {
		err = notKept(fmt.Errorf("%s has room for %s, and it takes %s or more", dir, show.Bytes(freeRoom(f)), show.Bytes(least)))
	}
	if err != nil {
		f.Close()
	}
	return f, err
}

// leastRoom is the least room that the decoded image takes: about what it has when it is packed, for its zeros need none and take next to none there. Of a
// file that does not say how much it unpacks to, some may be none of the image's.
func (i *Image) leastRoom() int64 {
	switch {
	case i.watched == nil:
		return i.coming
	case i.kept != nil: // it need not be decoded
		return 0
	}
	return min(i.claim, i.state.Size)
}

// ErrSpool is that the decoded image cannot be kept while it is needed.
var ErrSpool = errors.New("keeping the decoded image in a file meanwhile")

func notKept(err error) error {
	return hint.To(fmt.Errorf("%w: %w", ErrSpool, err), "TMPDIR names another directory, which needs room for all of the image that is not zeros")
}

// How much of its filesystem a spool leaves free for others, and after how many bytes written that is looked at: nobody knows beforehand how
// much a small file unpacks to.
const (
	spoolLeaves = 64 << 20
	spoolLooks  = 32 << 20
)

// spooling is who writes to a spool: how many bytes since the room that is left was looked at.
type spooling int

// writeChunk writes a chunk, and refuses to go on where next to nothing is left free.
func (s *spooling) writeChunk(spool *os.File, p []byte, off int64) error {
	if _, err := spool.WriteAt(p, off); err != nil {
		return notKept(err)
	}
	if *s += spooling(len(p)); *s < spoolLooks {
		return nil
	}
	if *s = 0; freeRoom(spool) < spoolLeaves {
		return notKept(fmt.Errorf("less than %d MiB are left where it is kept, in %s", spoolLeaves>>20, filepath.Dir(spool.Name())))
	}
	return nil
}

// freeRoom is how many bytes the filesystem of a file has left for whoever is not root; as many as there can be where it does not say.
func freeRoom(f *os.File) int64 {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return math.MaxInt64
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

// spoolAhead is how many bytes the spool is made longer at a time where nobody says how long it will be.
const spoolAhead = 64 << 20

// readySpool makes the spool long enough for its first end bytes before they are written, and somewhat longer: on ext4 a write that makes a
// file longer takes three times the CPU of one that does not. Where the file system cannot do that, the writes make it longer.
func (i *Image) readySpool(end int64) {
	if end > i.spooled {
		i.spooled = max(i.claim, end+spoolAhead)
		i.spool.Truncate(i.spooled)
	}
}
