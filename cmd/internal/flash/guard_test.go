package flash

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/judge"
)

// A panic in any part of a flash ends it with an error, and not the program: others are at work in it.
func TestPanicEndsOneFlash(t *testing.T) {
	img := image(1, 5)
	for name, spoil := range map[string]func(j *Job){
		"the table": func(j *Job) {
			j.Fit = func(d protocol.Disk, _ int64, first []byte) ([]byte, []chunk.Extent, error) {
				d.Block = 0 // as a device once claimed
				return nil, nil, errors.New(strings.Repeat("x", int(d.Size/d.Block)))
			}
		},
		"what is told": func(j *Job) { j.Progress = func(Progress) { panic("odd") } },
	} {
		b := newBench(t, judge.Noise(2, len(img)))
		j := Job{Source: &source{b: img, index: true}, Disk: "/dev/test", Session: "s", Tool: "test", Connect: b.connect}
		impatient(&j)
		spoil(&j)
		r, err := Run(t.Context(), j)
		b.done.Wait()
		var bug *Bug
		if !errors.As(err, &bug) || len(bug.Stack) == 0 || r.State == Verified {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// A device that is held by a writer whose client was killed is waited for; by anybody else's it is not.
func TestHeldByOwnPredecessor(t *testing.T) {
	img := image(1, 5)
	for _, going := range []bool{true, false} {
		b := newBench(t, judge.Noise(2, len(img)))
		held, let := b.heldBy(t, "me, process 1")
		var asked atomic.Int64
		j := Job{Source: &source{b: img, index: true}, Disk: "/dev/test", Session: "s", Tool: "test", Connect: b.connect,
			Going: func(text string) bool {
				asked.Add(1) // once: then it is ours
				let()
				return going && strings.HasSuffix(text, "me, process 1")
			}}
		impatient(&j)
		j.Patience = time.Minute
		<-held
		r, err := Run(t.Context(), j)
		let()
		b.done.Wait()
		var f *protocol.Failure
		if asked.Load() != 1 {
			t.Errorf("going %v: asked %d times", going, asked.Load())
		}
		if going && (err != nil || r.State != Verified) || !going && (!errors.As(err, &f) || f.Kind != protocol.KindBusy || r.State != Untouched || r.Lost != 0) {
			t.Errorf("going %v: %+v, %v", going, r, err)
		}
	}
}

// heldBy has a writer hold the device until let is called.
func (b *bench) heldBy(t *testing.T, who string) (held <-chan struct{}, let func()) {
	here, there := pair(t)
	opened := make(chan struct{})
	b.done.Go(func() {
		writer.Serve(context.Background(), there, writer.Config{Tool: "test", Run: b.run, Ping: 50 * time.Millisecond, Open: func(string, bool) (writer.Target, error) { return b.disk, nil }})
		there.Close()
	})
	a := &writerLine{flashRun: newRun(t.Context(), Job{Disk: "/dev/test", Who: who, Session: "other", Source: &source{}}.withDefaults()), raw: here, end: make(chan struct{})}
	a.stall.noteProgress()
	go func() {
		a.w = wire.NewWriter(here)
		if err := a.openDisk(); err != nil {
			t.Error(err)
		}
		close(opened)
	}()
	return opened, func() { here.Close() }
}

// A writer of ours that has not let go, when no further connection succeeds, may have written.
func TestStateOfBusyAfterLoss(t *testing.T) {
	r := newRun(t.Context(), Job{})
	busy := &protocol.Failure{Kind: protocol.KindBusy}
	r.announced = true
	if got := r.deviceState(busy); got != Untouched {
		t.Errorf("on the first connection: %s", got)
	}
	r.result.Lost = 1
	if got := r.deviceState(busy); got != Unknown {
		t.Errorf("after a loss: %s", got)
	}
	if got := r.deviceState(io.EOF); got != Unknown {
		t.Errorf("after a loss without a word: %s", got)
	}
}
