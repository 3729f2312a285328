package main

import (
	"sync"

	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/screen"
)

// barTeller tells in lines, and progress by bars below them.
type barTeller struct {
	*textTeller
	screen *screen.Screen

	mu   sync.Mutex
	bars map[string]*screen.Bar // by host and ID
}

func newBarTeller(text *textTeller, s *screen.Screen) *barTeller {
	return &barTeller{textTeller: text, screen: s, bars: map[string]*screen.Bar{}}
}

func (t *barTeller) Tell(e reflash.Event) {
	if e.Event != reflash.EventProgress {
		t.textTeller.Tell(e)
		return
	}
	key := e.Host + "\n" + e.ID
	t.mu.Lock()
	bar := t.bars[key]
	if e.Over {
		delete(t.bars, key)
	}
	t.mu.Unlock()
	switch {
	case e.Over && bar != nil:
		bar.Close()
	case e.Over:
	case bar == nil:
		bar = t.screen.Bar(e.Host + " " + e.ID)
		t.mu.Lock()
		t.bars[key] = bar
		t.mu.Unlock()
		fallthrough
	default:
		bar.Set(e.Bytes, e.Total)
	}
}

func (t *barTeller) close() { t.screen.Close() }
