package tell

import (
	"sync"

	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/screen"
)

// Bars tells in lines, and progress by bars below them.
type Bars struct {
	*Text
	screen *screen.Screen

	mu   sync.Mutex
	bars map[string]*screen.Bar // by host and ID
}

// NewBars has bars on s below the lines of text.
func NewBars(text *Text, s *screen.Screen) *Bars {
	return &Bars{Text: text, screen: s, bars: map[string]*screen.Bar{}}
}

func (t *Bars) Tell(e reflash.Event) {
	if e.Event != reflash.EventProgress {
		t.Text.Tell(e)
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

func (t *Bars) Close() { t.screen.Close() }
