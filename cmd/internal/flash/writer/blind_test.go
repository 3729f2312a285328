package writer

import (
	"testing"
	"time"
)

// see is a look at so many chunks, and how many were skipped.
func see(b *blind, chunks int, same func(n int) bool) (skipped int) {
	for n := range chunks {
		if b.skipLook() {
			skipped++
		} else {
			b.noteLook(same(n))
		}
	}
	return skipped
}

func TestBlind(t *testing.T) {
	never := func(int) bool { return false }
	another := func() *blind {
		b := newBlind()
		for range blindWholes {
			b.noteSent(true)
		}
		if n := see(b, blindSamples, never); n > 0 {
			t.Errorf("%d of the first chunks are skipped", n)
		}
		return b
	}
	if n := see(another(), 160, never); n != 150 {
		t.Errorf("another disk altogether: %d of 160 skipped", n)
	}
	b := another()
	see(b, 100, never)
	b.noteSent(false)
	if n := see(b, 160, never); n > 0 {
		t.Errorf("a chunk came in pieces: %d of 160 skipped", n)
	}
	if n := see(another(), 160, func(int) bool { return true }); n != lookEvery-1 {
		t.Errorf("what is looked at is the same: %d of 160 skipped", n)
	}
	b = newBlind()
	if n := see(b, 1000, func(n int) bool { return n%10 == 0 }); n > 0 || b.asked {
		t.Errorf("a tenth is the same: %d of 1000 skipped", n)
	}
}

// A client that has nothing to send yet is not waited for, and one that sends ends the wait.
func TestBlindWaits(t *testing.T) {
	b := newBlind()
	see(b, blindSamples, func(int) bool { return false })
	if !b.mayWait() {
		t.Fatal("nothing to wait for")
	}
	if b.skipLook() {
		t.Error("skipped, and the client has said nothing")
	}
	if b.mayWait() {
		t.Error("it waits twice")
	}
	b = newBlind()
	see(b, blindSamples, func(int) bool { return false })
	go func() {
		for range blindWholes {
			b.noteSent(true)
		}
	}()
	began := time.Now()
	if skipped := b.skipLook(); !skipped && time.Since(began) < doubtWait {
		t.Error("looked at, though all came whole")
	}
}
