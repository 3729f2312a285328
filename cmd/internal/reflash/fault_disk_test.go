package reflash

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/writer"
)

// tripped is a disk on which something happens before a write.
type tripped struct {
	writer.Target
	writes *atomic.Int64 // of all who opened it
	before func(n int64) error
}

func (d *tripped) WriteAt(p []byte, off int64) (int, error) {
	if err := d.before(d.writes.Add(1)); err != nil {
		return 0, err
	}
	return d.Target.WriteAt(p, off)
}

// trip has something happen before the nth write to the device's disk.
func (b *bench) trip(nth int64, does func() error) {
	var writes atomic.Int64
	b.OpenDisk(func(_ string, write bool) (writer.Target, error) {
		d, err := writer.Open(b.DiskFile(), write)
		return &tripped{d, &writes, func(n int64) error {
			if n == nth {
				return does()
			}
			return nil
		}}, err
	})
}

// writesOf is how many writes a good flash takes.
func writesOf(t *testing.T) int64 {
	b := waitingFor(t, "flash")
	var n atomic.Int64
	b.OpenDisk(func(_ string, write bool) (writer.Target, error) {
		d, err := writer.Open(b.DiskFile(), write)
		return &tripped{d, &n, func(int64) error { return nil }}, err
	})
	if out := b.run(t.Context(), "flash"); out.Verdict != Done {
		t.Fatalf("%+v\n%s", out, &b.told)
	}
	return n.Load()
}

// A fault while the disk is written: whatever is said of the device then is so, and the same flash again puts the image there.
func TestFaultInEachWrite(t *testing.T) {
	t.Parallel()
	for nth := int64(1); nth <= writesOf(t); nth++ {
		for name, c := range map[string]struct {
			does func(b *bench, stop context.CancelFunc) error
			want []State
		}{
			"the link is lost":   {func(b *bench, _ context.CancelFunc) error { b.Cut(); return nil }, []State{Verified}},
			"an error":           {func(*bench, context.CancelFunc) error { return fmt.Errorf("input/output error") }, []State{Waiting}},
			"it is off":          {func(b *bench, _ context.CancelFunc) error { b.Unplug(); return nil }, []State{Unknown}},
			"a power cut":        {func(b *bench, _ context.CancelFunc) error { b.PowerCut(); return nil }, []State{Rebooted}},
			"another boots":      {func(b *bench, _ context.CancelFunc) error { b.Reboot(); return nil }, []State{Rebooted, Unknown}},
			"it is interrupted":  {func(_ *bench, stop context.CancelFunc) error { stop(); return nil }, []State{Waiting, Verified}},
			"off and back again": {func(b *bench, _ context.CancelFunc) error { b.Unplug(); b.Plug(); return nil }, []State{Verified}},
		} {
			t.Run(fmt.Sprintf("%s before write %d", name, nth), func(t *testing.T) {
				t.Parallel()
				b := waitingFor(t, "flash")
				if nth%2 == 0 {
					b.Direct()
				}
				if name == "it is off" || name == "another boots" {
					b.patience = 15 * time.Second // it never comes back
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				b.trip(nth, func() error { return c.does(b, stop) })
				out := b.run(ctx, "flash")
				found := false
				for _, s := range c.want {
					found = found || out.State == s
				}
				if !found {
					t.Errorf("%s, want %v\n%s", out.State, c.want, &b.told)
				}
				b.judge(out)
				b.Plug()
				b.Wait("b1")
				b.told, b.patience = told{}, time.Minute
				if again := b.run(t.Context(), "flash"); again.Verdict != Done || again.State != Verified {
					t.Errorf("the same flash again: %+v", again)
				}
				b.judge(Outcome{Host: b.Target(), Verdict: Done, State: Verified, Text: b.told.last().Text})
			})
		}
	}
}

// last is the last event.
func (t *told) last() Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.events[len(t.events)-1]
}

// A second client is told that the disk is being written, whatever it wants; and it changes nothing.
func TestBusy(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	writing, over := make(chan struct{}), make(chan struct{})
	b.trip(1, func() error { close(writing); <-over; return nil })
	first := make(chan Outcome)
	second := told{}
	go func() { first <- b.run(t.Context(), "flash") }()
	<-writing
	f := FlashOptions{SSH: b.ssh, Roll: device.NewRoll(1), Patience: time.Second, Via: "writer", ReadArchive: func(string) (*Archive, error) { return b.archive, nil }}
	out := Flash(t.Context(), Host{Teller: &second, Name: b.Target()}, b.image, b.path, &f)
	if out.State != Busy || out.Verdict != Refused || !strings.Contains(out.Text, "another flash is at work") || second.last().Hint == "" {
		t.Errorf("%+v (%s)", out, second.last().Hint)
	}
	close(over)
	out = <-first
	if out.Verdict != Done {
		t.Errorf("the first: %+v", out)
	}
}
