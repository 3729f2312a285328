//go:build e2e

package main

import (
	"strings"
	"testing"

	"groundhog/fixtures/waiting"
)

// What is at a disk's path and is not that disk is never written to, and never said to be the disk; that another flash is at work is said only of one that is.
func TestFlashOddDevice(t *testing.T) {
	t.Parallel()
	const second = "GH-SECOND"
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 32}, {Serial: second, SizeMB: 32}}})
	img := noiseImage(t, 1, 8)
	before := sha256Of(t, s.Disk(0)) + sha256Of(t, s.Disk(1))
	for _, c := range []struct{ what, by, undo, says string }{
		{"a file", "mv /dev/vda /dev/was; dd if=/dev/zero of=/dev/vda bs=1M count=32 2>&1", "mv /dev/was /dev/vda", "at its path is a file"},
		{"another disk", "mv /dev/vda /dev/was; ln -s vdb /dev/vda", "mv /dev/was /dev/vda", "at its path is the device"},
		{"no node", "mv /dev/vda /dev/was", "mv /dev/was /dev/vda", "no such file"},
		{"a full /run", "mount -t tmpfs -o size=4k tmpfs /run/groundhog; cat /dev/zero >/run/groundhog/fill 2>/dev/null; true", "umount /run/groundhog", "no space left"},
	} {
		s.says(c.by)
		for _, via := range []string{"writer", "curl"} {
			code, out := s.flash(goodDisk, img, "--via", via, "--patience", "30s")
			said := strings.ToLower(out)
			s.failed(c.what+", "+via, code, said, exitNo, c.says, "nothing was changed")
			if strings.Contains(said, "the other one") {
				t.Errorf("%s, %s: nobody else flashes it", c.what, via)
			}
		}
		s.says(c.undo)
	}
	if after := sha256Of(t, s.Disk(0)) + sha256Of(t, s.Disk(1)); after != before {
		t.Error("something was written")
	}
	code, out := s.flash(goodDisk, img)
	s.verified("as it was again", code, out, img)
}
