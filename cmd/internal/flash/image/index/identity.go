package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrChanging is returned for a file that is being written.
var ErrChanging = errors.New("it is still being written")

// File is the identity of a file and its state. ctime changes with each write, and nobody can set it (inode(7)): a file whose File is the
// same as it was after [Settle] has the same content.
type File struct {
	Dev   uint64 `json:"dev"`
	Inode uint64 `json:"inode"`
	Size  int64  `json:"size"`
	Mtime int64  `json:"mtime"` // ns
	Ctime int64  `json:"ctime"` // ns
}

// FileOf is the state of an open file now; false for what is no regular file.
func FileOf(f *os.File) (File, bool) {
	if f == nil {
		return File{}, false
	}
	conn, err := f.SyscallConn() // not Fd: who closes it meanwhile lets its number go to another file
	if err != nil {
		return File{}, false
	}
	var st unix.Stat_t
	failed := conn.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) })
	if failed != nil || err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return File{}, false
	}
	return File{uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}, true
}

// Bounds of [Settle].
const (
	fileClockTick = 50 * time.Millisecond // a kernel's clock for files moves every 10 ms at most (CONFIG_HZ is 100 or more)
	coarseTick    = 2100 * time.Millisecond
	settleFor     = 10 * time.Second
)

// timeGrain is how far apart two writes may be and still leave the same time: some filesystems (ext3, FAT, many a server's) count in units of
// one or two seconds.
func (f File) timeGrain() time.Duration {
	if f.Ctime%int64(time.Second) == 0 {
		return coarseTick
	}
	return fileClockTick
}

// Settle waits until a further write to the file would show in its [File], and returns that. A file that goes on
// changing is [ErrChanging]. What is no regular file has no state: false.
func Settle(ctx context.Context, f *os.File) (File, bool, error) {
	now, ok := FileOf(f)
	if !ok {
		return now, false, nil
	}
	fs := filesystemOf(f)
	for deadline := time.Now().Add(settleFor); ; {
		// The clock of another machine tells nothing here: of its files only waiting does.
		if age := time.Since(time.Unix(0, now.Ctime)); age > now.timeGrain() && !fs.remote {
			return now, true, nil
		}
		select {
		case <-time.After(now.timeGrain()):
		case <-ctx.Done():
			return now, false, ctx.Err()
		}
		before := now
		now, ok = FileOf(f)
		switch {
		case !ok:
			return now, false, nil
		case now == before:
			return now, true, nil
		case time.Now().After(deadline):
			return now, false, fmt.Errorf("%w: for %s it has not stayed the same", ErrChanging, settleFor)
		}
	}
}

// CheckLasting says why a later change of the file need not show in its [File] in another run of this program; nil if it will. It will not
// where somebody has the file mapped to write to it by now, as only the first write to a page shows (mmap(2)); nor on
// a tmpfs, where a write through a mapping need not show at all; nor where another machine's clock says the time.
func CheckLasting(f *os.File) error {
	switch fs := filesystemOf(f); {
	case fs.memory:
		return errors.New("it is in memory, on a tmpfs, where it may change unseen")
	case fs.remote:
		return errors.New("it is on another machine, whose clock is not this one's")
	}
	// A lease for reading is had where nobody has the file open, or mapped, for writing (fcntl(2)).
	fd := f.Fd()
	err := tryLease(fd)
	if err == nil {
		return nil
	}
	if err != unix.EACCES { // EAGAIN: somebody has
		return fmt.Errorf("somebody has it open for writing: %w", err)
	}
	// Of another user's file there is no lease. What was written to a mapping of it has been brought to the disk by now,
	// all the same (dirty_expire_centisecs is 30 s), and what is next shows again; fsync(2) makes sure.
	now, ok := FileOf(f)
	if !ok || time.Since(time.Unix(0, now.Ctime)) < time.Minute {
		return errors.New("it is another user's, and was changed within the last minute")
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if again, ok := FileOf(f); !ok || now != again {
		return ErrChanging
	}
	return nil
}
