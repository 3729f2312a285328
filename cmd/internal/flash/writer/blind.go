package writer

import (
	"sync"
	"time"
)

// blind decides whether chunks are compared with the disk at all. Where the disk holds something else altogether, to read and hash it is a
// waste, and chunks are taken for different unseen. That chunks differ does not show that yet: in each of them only some pieces may
// differ. What the client sends of them shows it, some pieces or whole chunks. Some chunks are compared all the same, and the first
// that is the same ends it.
type blind struct {
	mu        sync.Mutex
	cond      *sync.Cond
	differing int  // how many of the last chunks that were compared differed, in a row
	whole     int  // how many of the last compared chunks that the client sent came whole, in a row
	heard     bool // the client has sent enough to decide by, or nothing within doubtWait
	asked     bool // somebody waits for heard, and doubtWait runs
	seen      int  // chunks that skipLook has decided about since chunks are taken for different unseen
}

const (
	blindSamples = 16 // so many differing chunks in a row raise the question
	blindWholes  = 4  // so many whole ones in a row answer it
	lookEvery    = 16 // then one chunk in so many is compared
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

// skipLook reports whether the next chunk is taken for different unseen. When the question comes up it waits for what the client
// sends, but never long: the client may be waiting for the writer's answers.
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

// noteLook takes in what comparing a chunk has found.
func (b *blind) noteLook(same bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if same {
		b.differing = 0
	} else {
		b.differing++
	}
}

// noteSent takes in what the client sent of a chunk that was compared: all of it, or some pieces.
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
