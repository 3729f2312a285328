package writer

import (
	"sync"
	"time"
)

// blind says whether to look at the disk at all: where it holds something else altogether, reading and hashing it is a
// waste. That chunks differ does not tell it, for of a chunk that differs only some pieces may: the client
// tells it, by sending those or a whole chunk. Some chunks are looked at all the same, and what fits ends it.
type blind struct {
	mu        sync.Mutex
	cond      *sync.Cond
	differing int  // chunks in a row that were looked at
	whole     int  // of those that were looked at, in a row, that came whole
	heard     bool // some came, or none for too long
	asked     bool // somebody waits for that
	seen      int  // chunks since it began
}

const (
	blindSamples = 16 // differing chunks in a row raise the question
	blindWholes  = 4  // whole ones in a row answer it
	lookEvery    = 16 // then one chunk of so many is looked at
	doubtWait    = 100 * time.Millisecond
)

func newBlind() *blind {
	b := new(blind)
	b.cond = sync.NewCond(&b.mu)
	return b
}

// mayWait reports whether skipLook may take its time.
func (b *blind) mayWait() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.differing >= blindSamples && !b.heard
}

// skipLook reports whether the next chunk is taken for different without a look. The first time that is the question it waits for
// the client's answer, but never long: the client may be waiting for ours.
func (b *blind) skipLook() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.differing >= blindSamples && !b.heard {
		if !b.asked {
			b.asked = true
			time.AfterFunc(doubtWait, func() {
				b.mu.Lock()
				b.heard = true
				b.cond.Broadcast()
				b.mu.Unlock()
			})
		}
		b.cond.Wait()
	}
	if b.differing < blindSamples || b.whole < blindWholes {
		return false
	}
	b.seen++
	return b.seen%lookEvery != 0
}

// noteLook is what a look has found.
func (b *blind) noteLook(same bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if same {
		b.differing = 0
	} else {
		b.differing++
	}
}

// noteSent is what the client sent of a chunk that was looked at.
func (b *blind) noteSent(whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.whole++
	if !whole {
		b.whole = 0
	}
	if !whole || b.whole >= blindWholes {
		b.heard = true
		b.cond.Broadcast()
	}
}
