package main

import "groundhog/cmd/internal/screen"

// barTeller tells in lines, and progress by bars below them.
type barTeller struct {
	*textTeller
	screen *screen.Screen
	bars   map[string]*screen.Bar // by host and ID
}

func (t *barTeller) tell(e event) {
	if e.Event != "progress" {
		t.textTeller.tell(e)
		return
	}
	key := e.Host + "\n" + e.ID
	bar := t.bars[key]
	switch {
	case e.over && bar != nil:
		bar.Close()
		delete(t.bars, key)
	case e.over:
	default:
		if bar == nil {
			bar = t.screen.Bar(e.Host + " " + e.ID)
			t.bars[key] = bar
		}
		bar.Set(e.Bytes, e.Total)
	}
}

func (t *barTeller) close() { t.screen.Close() }
