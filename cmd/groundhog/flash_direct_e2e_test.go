//go:build e2e

package main

import (
	"strings"
	"testing"

	"groundhog/fixtures/link"
	"groundhog/fixtures/waiting"
)

// A flash beside SSH, to Debian's dropbear and our writer in a real archive: what is sent goes there, and whatever becomes of one of the two lines the
// disk is verified in the end, over SSH.
func TestFlashDirectFaults(t *testing.T) {
	t.Parallel()
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 64}}, Direct: true})
	images := []string{noiseImage(t, 1, 24), noiseImage(t, 2, 24)}
	// Slow enough for the turn to come long before the end.
	s.Direct().Shape(link.Shape{Rate: 20 << 20})
	s.Link().Shape(link.Shape{Rate: 5 << 20})
	const some = 3 << 20 // bytes, in the middle
	for n, c := range []struct {
		what  string
		fault func()
		lost  bool
	}{
		{"nothing", func() {}, false},
		{"a flipped bit", func() { s.Direct().Flip(some) }, true},
		{"a reset", func() { s.Direct().ResetAfter(some) }, true},
		{"a proper end", func() { s.Direct().At(link.There, some, s.Direct().Finish) }, true},
		{"SSH's reset", func() { s.Direct().At(link.There, some, s.Link().Reset) }, true},
		{"a pulled cable", func() { s.Direct().At(link.There, some, s.Direct().Cut) }, true}, // the last one: it stays so
	} {
		img := images[n%2] // the disk has the other one
		before, ssh := s.Direct().Sent(), s.Link().Sent()
		c.fault()
		code, out := s.flash(goodDisk, img)
		s.verified(c.what, code, out, img)
		if lost := strings.Contains(out, "trying again"); lost != c.lost {
			t.Errorf("%s: a connection was lost: %v", c.what, lost)
		}
		direct, ssh := s.Direct().Sent()-before, s.Link().Sent()-ssh
		t.Logf("%s: %d bytes beside SSH, %d over SSH", c.what, direct, ssh)
		if direct < some || c.lost && ssh < some || !c.lost && ssh > direct {
			t.Errorf("%s: %d bytes beside SSH, %d over SSH", c.what, direct, ssh)
		}
	}
}
