//go:build e2e

package main

import (
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/waiting"
	"groundhog/fixtures/waiting/faulty"
)

// silentDisk is the serial number of a disk whose reads do not end, not even for a process that is killed.
const silentDisk = "GH-SILENT"

// A disk that does not answer is in nobody's way who flashes another one. It is not flashed itself, nor is another one in its place, and
// that is said long before patience is over.
func TestFlashBesideSilentDisk(t *testing.T) {
	t.Parallel()
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 32}, {Serial: silentDisk, SizeMB: 32, Rules: &faulty.Rules{}}}})
	img := noiseImage(t, 1, 8)
	judge.Must(t, s.Faulty(1).Set(faulty.Rules{Faults: []faulty.Fault{{Kind: faulty.Stall, Read: true, To: 32 << 20}}}))
	began := time.Now()
	code, out := s.flash(goodDisk, img)
	s.verified("beside a silent disk", code, out, img)
	code, out = s.flash(silentDisk, img)
	s.failed("the silent disk", code, out, exitNo, "the disk does not answer", silentDisk)
	code, out = s.flash("", img)
	s.failed("no disk is named", code, out, exitNo, "more than one disk", "does not answer")
	if took := time.Since(began); took > 4*time.Minute {
		t.Errorf("it took %s", took)
	}
	judge.Must(t, s.Faulty(1).Set(faulty.Rules{}))
	if code, out := s.flash(silentDisk, img); code != 0 || !strings.Contains(out, "verified: ") {
		t.Errorf("it answers again: exit %d\n%s", code, out)
	}
}
