// Package flash makes a device's disk equal to an image: what differs is sent, what was sent is read back, and the first
// chunk, with the partition table, goes last. A first flash, one after few changes, and going on after a
// lost connection are the same loop.
//
// The package knows neither SSH nor files: a Source gives the image, Connect the line to a writer.
package flash

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/initrd/show"
)

// Source is an image.
type Source interface {
	// Size is the image's size in bytes, where that is known or claimed beforehand: Walk then ends well at that
	// size only. It serves to refuse an image that the disk has no room for before anything is written, and for
	// progress; the end is where Walk says so.
	Size() (int64, bool)
	// Index is all chunks in order, nil as long as that is not known.
	Index() []chunk.Chunk
	// Walk calls each, in order, for the chunks that want reports true of, or for all where want is nil. each may keep data, which
	// is nil for zeros. Walk returns nil only at the image's proper end, where every checksum held.
	Walk(ctx context.Context, want func(n int64) bool, each func(c chunk.Chunk, data []byte) error) error
	// Again reports whether Walk can be called more than once.
	Again() bool
}

// Foreteller is a [Source] that may know of chunks of zeros long before Walk comes to them.
type Foreteller interface {
	// Zeros calls each for them, in order. Walk has them, too.
	Zeros(ctx context.Context, each func(c chunk.Chunk) error) error
}

// Job is a flash.
type Job struct {
	Source  Source
	Disk    string  // its path on the device
	Who     string  // for whoever finds the device taken
	Session string  // another one for each run
	Tool    string  // name and version, for the hello
	Check   bool    // compare only
	Still   bool    // do not look for what moved on the disk
	Shared  *Shared // with flashes of the same image; nil: with none
	planned int     // chunks of one plan at most; 0: maxPlanned

	// Connect makes a line to a writer; Close, or Release of a [Releaser], ends it. It is called again after a loss.
	Connect func(ctx context.Context) (io.ReadWriteCloser, error)
	// Going, if set, reports whether who holds the device, as it says itself, is about to let go: a run of ours that was
	// killed, whose writer has not noticed yet. It is waited for as long as Patience lasts.
	Going func(text string) bool
	// Fit, if set, makes the image fit the disk. It is called with the disk before anything is sent, and with the first
	// chunk's bytes once they are read: it may change these, and returns what to write behind the image.
	Fit func(disk protocol.Disk, size int64, first []byte) ([]byte, []chunk.Extent, error)

	Patience time.Duration // how long to try without any progress; 5 min
	Silent   time.Duration // after which a writer that says nothing is gone; 30 s
	Stalled  time.Duration // after which the line to a device that answers but gets on with nothing is made anew; as Patience, but 2 min at most
	Ping     time.Duration // how often to say something; 5 s
	Progress func(Progress)
	Say      func(string) // a lost connection, and what is done about it
}

// Releaser is a line over a connection that is used on afterwards: where the flash ended well Release is called in place of Close.
type Releaser interface{ Release() }

// Progress is how far a flash is, in bytes of the image.
type Progress struct {
	Done  int64 // are on the disk
	Total int64 // 0: not known
	Wire  int64 // sent
}

// State is what a device was left in.
type State string

const (
	Untouched State = "untouched" // nothing was written: the old system still boots
	Waiting   State = "waiting"   // it sits in its initramfs, reachable; the disk is neither old nor new
	Verified  State = "verified"  // the image is on the disk, read back from the medium
	Unknown   State = "unknown"   // the connection is gone; if it was writing, it waits in its initramfs
)

// Result is the account of a flash, whether it ended well or not.
type Result struct {
	State     State         `json:"state"`
	Size      int64         `json:"size"`    // bytes of the image
	Same      int64         `json:"same"`    // chunks that the disk had
	Written   int64         `json:"written"` // chunks that were sent
	Zeroed    int64         `json:"zeroed"`  // chunks that were zeroed
	Retried   int64         `json:"retried"` // chunks that took more than one try, or could not be read before they were written
	Moved     int64         `json:"moved"`   // bytes that the device found elsewhere on its disk
	Sent      int64         `json:"sent"`    // bytes on the line, towards the device
	Direct    int64         `json:"direct"`  // of these, past SSH's cipher: by a line of their own
	Lost      int           `json:"lost"`    // connections
	Memory    int64         `json:"memory"`  // the writer's peak, bytes
	Seconds   float64       `json:"seconds"` // from the first connection on
	Differing []chunk.Chunk `json:"-"`       // of a check, in order
	Looked    int64         `json:"-"`       // bytes of the disk, from its beginning on, that were looked through for what has moved; 0: it was not
	Every     int64         `json:"-"`       // one block of so many was known there by its content; 1: each
	Disk      protocol.Disk `json:"disk"`    // what was written to

	// Checked is what the image's file was held against: --sha256, or a file of sums; "" for nothing.
	Checked string `json:"checked_against"`
}

// LookedThrough says where the disk was not looked through as far as the image goes, or not block by block; "" where it was.
func (r Result) LookedThrough() string {
	var all []string
	if r.Looked < min(r.Disk.Size, r.Size) {
		all = append(all, "in its first "+show.Bytes(r.Looked))
	}
	if r.Every > 1 {
		all = append(all, fmt.Sprintf("by one block of %d and those beside it", r.Every))
	}
	if len(all) == 0 {
		return ""
	}
	return " (looked for " + strings.Join(all, ", ") + ")"
}

// CheckedAgainst says for people what the image was checked against.
func (r Result) CheckedAgainst() string {
	if r.Checked == "" {
		return "not checked against anything"
	}
	return "checked against " + r.Checked
}

// Errors of a flash.
var (
	ErrDiffers = errors.New("the disk is not equal to the image") // of a check
	// ErrReplaced is that another flash had written to the disk when a lost connection was made again. What it wrote is not
	// overwritten unasked.
	ErrReplaced = errors.New("another flash has written to the disk since")

	ErrImage = errors.New("the image") // it cannot be read to its end, or is another than it should be
)

func (j Job) withDefaults() Job {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&j.Patience, 5*time.Minute)
	set(&j.Silent, 30*time.Second)
	set(&j.Stalled, min(j.Patience, maxStall))
	set(&j.Ping, 5*time.Second)
	if j.Say == nil {
		j.Say = func(string) {}
	}
	if j.Progress == nil {
		j.Progress = func(Progress) {}
	}
	return j
}

// Run flashes. Result.State says what the device is now, whatever the error.
func Run(ctx context.Context, j Job) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j = j.withDefaults()
	began := time.Now()
	r, err := newRun(ctx, j), error(nil)
	for {
		err = r.connectUntilDone(ctx)
		if !errors.Is(err, errAnew) || !j.Source.Again() || r.result.Lost >= maxAnew {
			break
		}
		j.Say("the device has lost what it knew of this flash: comparing all of it again")
		r = r.runAnew(ctx)
	}
	cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Seconds = time.Since(began).Seconds()
	r.result.State = r.deviceState(err)
	r.result.Sent, r.result.Direct = r.sent.Load(), r.direct.Load()
	if s, ok := j.Source.(interface{ Checked() string }); ok {
		r.result.Checked = s.Checked()
	}
	if err == nil && j.Check && len(r.result.Differing) > 0 {
		slices.SortFunc(r.result.Differing, func(a, b chunk.Chunk) int { return cmp.Compare(a.N, b.N) })
		err = fmt.Errorf("%w: %d of %d chunks differ, the first begins at byte %d", ErrDiffers,
			len(r.result.Differing), r.result.Same+int64(len(r.result.Differing)), r.result.Differing[0].N*chunk.Size)
	}
	return r.result, err
}

// maxAnew bounds how often a device may forget.
const maxAnew = 20

// deviceState is what is known of the device.
func (r *flashRun) deviceState(err error) State {
	var f *protocol.Failure
	switch {
	case r.finished && !r.Check:
		return Verified
	case r.Check || !r.announced:
		return Untouched
	case errors.As(err, &f) && f.Writing, r.touched, r.wrote:
		return Waiting
	case errors.As(err, &f) && (f.Kind != protocol.KindBusy || r.result.Lost == 0): // one that is busy with our own writer says nothing of its work
		return Untouched
	}
	return Unknown
}

// connectUntilDone connects until the flash is done, or trying again is of no use.
func (r *flashRun) connectUntilDone(ctx context.Context) error {
	last, pause, damaged := time.Now(), 250*time.Millisecond, 0
	for {
		before := r.settledSoFar()
		err := r.attemptOnce(ctx)
		switch end := ctx.Err(); {
		case err == nil:
			return end
		case end != nil && errors.Is(err, end):
			return err
		case end != nil:
			return fmt.Errorf("%w: %w", end, err)
		}
		if r.settledSoFar() > before {
			last, pause = time.Now(), 250*time.Millisecond
		}
		r.mistrustPacks(err)
		var f *protocol.Failure
		var v *wire.VersionError
		switch {
		case r.fatalError() != nil:
			return r.fatalError()
		case damaged < maxDamaged && (errors.Is(err, protocol.ErrProtocol) || errors.As(err, &f) && (f.Kind == protocol.KindData || f.Kind == protocol.KindBug)):
			damaged++ // something was lost on the way, or is another thing than was sent
		case errors.As(err, &f) && f.Kind == protocol.KindBusy && (r.result.Lost > 0 || r.Going != nil && r.Going(f.Text)):
			// our own writer of the lost connection may not have noticed yet
		case errors.As(err, &f), errors.As(err, &v), errors.Is(err, wire.ErrNoise), errors.Is(err, errGiveUp), errors.Is(err, errAnew), errors.Is(err, ErrReplaced):
			return err
		}
		if time.Since(last) > r.Patience {
			return fmt.Errorf("no progress within %s; last: %w", r.Patience, err)
		}
		r.countLost()
		r.Say(fmt.Sprintf("%v; trying again", err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// maxDamaged bounds how often what comes makes no sense.
const maxDamaged = 3

// Bug is a panic that ended a flash.
type Bug struct {
	Value any
	Stack []byte // where
}

func (b *Bug) Error() string { return fmt.Sprintf("a bug of groundhog: %v", b.Value) }

// guardPanic runs a part of a flash. A panic in it, which a device's odd answer may provoke, ends this flash and not the program.
func (r *flashRun) guardPanic(do func()) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		bug, elsewhere := p.(*Bug)
		if !elsewhere {
			bug = &Bug{p, debug.Stack()}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.feedErr = bug
		r.cond.Broadcast()
	}()
	do()
}

// errGiveUp is in errors that another connection does not help.
var errGiveUp = errors.New("giving up")

// Permanent marks an error of Connect that trying again does not help.
func Permanent(err error) error { return permanentError{err} }

type permanentError struct{ error }

func (p permanentError) Unwrap() error        { return p.error }
func (p permanentError) Is(target error) bool { return target == errGiveUp }
