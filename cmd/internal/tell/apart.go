package tell

import (
	"sync"
	"time"

	"groundhog/cmd/internal/reflash"
)

// Apart has another one tell, behind those who do the work: where a pager is full, a terminal stopped, a program at the other end of a pipe busy, they go on
// and hear an interruption. What progresses is told while nothing waits, all else in its order, at the latest by Table and Close, which wait for that.
type Apart struct {
	to Teller

	mu      sync.Mutex
	changed *sync.Cond
	waiting []reflash.Event // the first is being told
	closed  bool
}

// NewApart tells by another one.
func NewApart(to Teller) *Apart {
	t := &Apart{to: to}
	t.changed = sync.NewCond(&t.mu)
	go t.tellWaiting()
	return t
}

func (t *Apart) Tell(e reflash.Event) {
	e.Time = timeOf(time.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || e.Event == reflash.EventProgress && !e.Over && len(t.waiting) > 0 {
		return
	}
	t.waiting = append(t.waiting, e)
	t.changed.Broadcast()
}

func (t *Apart) tellWaiting() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for len(t.waiting) == 0 {
			if t.closed {
				return
			}
			t.changed.Wait()
		}
		e := t.waiting[0]
		t.mu.Unlock()
		t.to.Tell(e)
		t.mu.Lock()
		t.waiting = t.waiting[1:]
		t.changed.Broadcast()
	}
}

// AwaitTold waits until all is told: a question comes behind it.
func (t *Apart) AwaitTold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.waiting) > 0 {
		t.changed.Wait()
	}
}

func (t *Apart) Table(all []reflash.Outcome) {
	t.AwaitTold()
	t.to.Table(all)
}

func (t *Apart) Close() {
	t.AwaitTold()
	t.mu.Lock()
	t.closed = true
	t.changed.Broadcast()
	t.mu.Unlock()
	t.to.Close()
}

// timeOf is an event's time.
func timeOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }
