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
	samples = 16 // differing chunks in a row raise the question
	wholes  = 4  // whole ones in a row answer it
	sample  = 16 // then one chunk of so many is looked at
	doubt   = 100 * time.Millisecond
)

func newBlind() *blind {
	b := new(blind)
	b.cond = sync.NewCond(&b.mu)
	return b
}

// waits reports whether skip may take its time.
func (b *blind) waits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.differing >= samples && !b.heard
}

// skip reports whether the next chunk is taken for different without a look. The first time that is the question it waits for
// the client's answer, but never long: the client may be waiting for ours.
func (b *blind) skip() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.differing >= samples && !b.heard {
		if !b.asked {
			b.asked = true
			time.AfterFunc(doubt, func() {
				b.mu.Lock()
				b.heard = true
				b.cond.Broadcast()
				b.mu.Unlock()
			})
		}
		b.cond.Wait()
	}
	if b.differing < samples || b.whole < wholes {
		return false
	}
	b.seen++
	return b.seen%sample != 0
}

// found is what a look has found.
func (b *blind) found(same bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if same {
		b.differing = 0
	} else {
		b.differing++
	}
}

// came is what the client sent of a chunk that was looked at.
func (b *blind) came(whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.whole++
	if !whole {
		b.whole = 0
	}
	if !whole || b.whole >= wholes {
		b.heard = true
		b.cond.Broadcast()
	}
}
