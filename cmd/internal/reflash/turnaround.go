package reflash

import (
	"fmt"
	"strings"
	"time"
)

// Lap is a part of a device's turn-around: survey, send, down, up, flash, down, up. With kexec into the new system there is load before the
// second down: kernel and initramfs are sent and loaded. down ends when the old system does not answer any more, and up when the next one
// does.
type Lap struct {
	Phase   string  `json:"phase"`
	Seconds float64 `json:"seconds"`
}

// turnaround takes the time of each part. A nil one takes none.
type turnaround struct {
	last time.Time
	laps []Lap
	now  func() time.Time
}

func newTurnaround() *turnaround { return &turnaround{last: time.Now(), now: time.Now} }

// endLap ends a part, which began where the one before ended.
func (t *turnaround) endLap(phase string) {
	if t != nil {
		t.lapAt(phase, t.now())
	}
}

func (t *turnaround) lapAt(phase string, end time.Time) {
	t.laps = append(t.laps, Lap{phase, end.Sub(t.last).Round(time.Millisecond).Seconds()})
	t.last = end
}

// endDown ends the part in which the old system goes down, as [device.Wait] has it.
func (t *turnaround) endDown(at time.Time) {
	if t != nil {
		t.lapAt("down", at)
	}
}

// String is "12.5 s: survey 0.5 s, send 12.0 s".
func (t *turnaround) String() string {
	total := 0.0
	var parts []string
	for _, l := range t.laps {
		total += l.Seconds
		parts = append(parts, fmt.Sprintf("%s %.1f s", l.Phase, l.Seconds))
	}
	return fmt.Sprintf("%.1f s: %s", total, strings.Join(parts, ", "))
}
