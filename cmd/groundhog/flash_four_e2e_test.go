//go:build e2e

package main

import (
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/waiting"
)

// Four devices at once, and a fifth that nobody answers for: each has its verdict, and the dead one holds up none.
func TestFlashFour(t *testing.T) {
	o := waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 64}}}
	first := startSpare(t, o)
	all := []*spare{first}
	for range 3 {
		all = append(all, spareOf(t, first.archive, first.login.Key, o))
	}
	args := []string{"flash", "--ssh-config", "none", "--identity", first.login.Key, "--known-hosts", first.login.KnownHosts,
		"--target", "serial:" + goodDisk, "--parallel", "5"}
	for _, s := range all {
		args = append(args, s.target())
	}
	img := noiseImage(t, 21, 24)
	code, out := online(t, append(args, "root@127.0.0.1:1", packed(t, img, "zstd", "-q"))...)
	if code != exitUnreachable || strings.Count(out, "verified: ") != 4 || strings.Count(out, "connection refused") != 2 {
		t.Errorf("exit %d, want four verified and one not reached", code)
	}
	for _, s := range all {
		if !s.holds(img) {
			t.Errorf("%s does not hold the image", s.target())
		}
	}
	first.withoutWriter(noiseImage(t, 22, 12))
}

// withoutWriter flashes a device that no writer was built for, by curl. Not beside other tests: they have writers.
func (s *spare) withoutWriter(img string) {
	defer func(real writerSource) { knownWriters = real }(knownWriters)
	knownWriters = fstest.MapFS{}
	s.says("rm /sbin/groundhog-writer")
	code, out := s.flash(goodDisk, img)
	s.failed("no writer", code, out, exitNo, "this groundhog was built without it")
	code, out = s.flash(goodDisk, img, "--via", "curl")
	s.failed("no writer, no path", code, out, exitNo, "--target /dev/... names it")
	code, out = s.flash("", img, "--via", "curl", "--target", "/dev/vda")
	s.verified("no writer, by curl", code, out, img)
}
