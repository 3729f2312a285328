package reflash

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Each part begins where the one before ended, and together they are all.
func TestTurnaround(t *testing.T) {
	now := time.Unix(1000, 0)
	w := &turnaround{last: now, now: func() time.Time { now = now.Add(1500 * time.Millisecond); return now }}
	w.endLap("survey")
	w.endDown(w.now())
	w.endLap("up")
	if want := []Lap{{"survey", 1.5}, {"down", 1.5}, {"up", 1.5}}; !slices.Equal(w.laps, want) {
		t.Errorf("%v, want %v", w.laps, want)
	}
	if got, want := w.String(), "4.5 s: survey 1.5 s, down 1.5 s, up 1.5 s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	(*turnaround)(nil).endLap("of who wants none")
	(*turnaround)(nil).endDown(now)
}

// A reflash says what each part took, to people and to machines.
func TestReflashTurnaround(t *testing.T) {
	b := waitingFor(t, "reflash")
	if out := b.run(t.Context(), "reflash"); out.Verdict != Done {
		t.Fatalf("%+v\n%s", out, &b.told)
	}
	_, last := b.told.verdicts()
	var phases []string
	for _, l := range last.Data.Turnaround {
		phases = append(phases, l.Phase)
	}
	if want := []string{"survey", "send", "down", "up", "flash", "down", "up"}; !slices.Equal(phases, want) {
		t.Errorf("%q, want %q", phases, want)
	}
	if said := b.told.String(); !strings.Contains(said, "turn-around ") {
		t.Error(said)
	}
}
