package input

import (
	"runtime/debug"
	"testing"
)

// However those who read archives at once come and go, garbage is collected afterwards as often as before.
func TestCollectSeldom(t *testing.T) {
	before := debug.SetGCPercent(20)
	defer debug.SetGCPercent(before)
	a := collectSeldom()
	b := collectSeldom()
	a()
	if now := debug.SetGCPercent(400); now != 400 {
		t.Errorf("%d while one still reads", now)
	}
	b()
	if now := debug.SetGCPercent(20); now != 20 {
		t.Errorf("%d afterwards", now)
	}
}
