package since

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	var m Moment
	if m.Ago() < 1000*time.Hour {
		t.Errorf("never noted: %v", m.Ago())
	}
	if !m.Note() || m.Note() || m.Ago() < 0 {
		t.Errorf("%v", m.Ago())
	}
	m.at.Store(int64(time.Since(began)) + 1 - int64(time.Hour))
	if ago := m.Ago(); ago < time.Hour || ago > 2*time.Hour {
		t.Errorf("an hour ago: %v", ago)
	}
}

// A process that was stopped in between knows it by its next tick.
func TestTicks(t *testing.T) {
	ticks := NewTicks(time.Minute)
	if ticks.WereMissed() {
		t.Error("missed at once")
	}
	ticks.last.at.Add(-int64(time.Hour))
	if !ticks.WereMissed() || ticks.WereMissed() {
		t.Error("an hour without a tick, and then one at once")
	}
}
