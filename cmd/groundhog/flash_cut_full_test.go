//go:build full

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
	"groundhog/fixtures/waiting"
	"groundhog/fixtures/waiting/faulty"
)

// Whatever is cut when, a flash ends verified after going on, and what it says is what the disk has: the link, the
// writer, our side, the power. Two images take turns, so that there is always something to write.
func TestFlashCuts(t *testing.T) {
	t.Parallel()
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 64}}})
	images := []string{noiseImage(t, 11, 12), noiseImage(t, 12, 12)}
	const size = 6 << 20 // what crosses the line, or a little less
	cuts, kills := 20, 10
	for i := range cuts {
		img := images[i%2]
		if i == 7 || i == 13 {
			s.silence(img, size*int64(i)/int64(cuts))
			continue
		}
		s.Link().ResetAfter(20_000 + size*int64(i)/int64(cuts))
		code, out := s.flash(goodDisk, img)
		s.verified("link cut", code, out, img)
		if i > 0 && !strings.Contains(out, "trying again") {
			t.Errorf("cut %d: nothing was cut", i)
		}
	}
	s.Link().Shape(link.Shape{Rate: 3 << 20})
	killed := 0
	for i := range kills {
		killed += s.killWriter(images[i%2], size*int64(i)/int64(kills*3/2))
	}
	if killed < kills-1 { // one may come too late on a busy machine
		t.Errorf("of %d writers %d were killed at work", kills, killed)
	}
	for i := range kills {
		s.killUs(images[i%2], size*int64(i)/int64(kills))
	}
	s.interrupted(images[0])
	s.cutPower(noiseImage(t, 13, 12)) // of the others too much is there by now
}

// sent waits until so many more bytes have been sent to the device, or until over is closed.
func (s *spare) sent(over <-chan struct{}, bytes int64) {
	for from := s.Link().Sent(); s.Link().Sent() < from+bytes; {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-over:
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// silence pulls the cable for good: nothing arrives and nothing ends. Both sides notice, and the flash goes on.
func (s *spare) silence(img string, after int64) {
	s.t.Helper()
	over := make(chan struct{})
	go func() {
		s.sent(over, after)
		s.Link().Cut()
		defer s.Link().Heal()
		select {
		case <-time.After(25 * time.Second): // longer than our side takes a silent device for alive
		case <-over:
		}
	}()
	code, out := s.flash(goodDisk, img)
	close(over)
	s.verified("a silent link", code, out, img)
	if !strings.Contains(out, "nothing heard for") {
		s.t.Error("the silence went unnoticed")
	}
}

// killWriter kills the writer on the device in the middle of its work, and says how many it killed. One that is through
// is left alone: nobody needs to notice that.
func (s *spare) killWriter(img string, after int64) int {
	s.t.Helper()
	now, trigger, err := os.Pipe() // logged in beforehand, the kill comes when it should
	if err != nil {
		s.t.Fatal(err)
	}
	defer now.Close()
	over, killed := make(chan struct{}), make(chan bool, 1)
	go func() {
		_, err := fixtures.SSH(s.ctx, s.login, now, `rm -f /run/groundhog/verified # the last flash's
			read now
			writer=$(pidof groundhog-writer) && kill -STOP $writer || exit 1
			test ! -e /run/groundhog/verified && kill -9 $writer || { kill -CONT $writer; exit 1; }`)
		killed <- err == nil
	}()
	go func() {
		defer trigger.Close()
		s.sent(over, 50_000+after) // behind the questions that come first
		trigger.WriteString("now\n")
	}()
	code, out := s.flash(goodDisk, img)
	close(over)
	s.verified("writer killed", code, out, img)
	if !<-killed {
		return 0
	}
	if !strings.Contains(out, "trying again") {
		s.t.Errorf("after %d bytes: the writer was killed and nobody noticed", after)
	}
	return 1
}

// killUs kills our side. The device stays in its initramfs, and the same flash goes on.
func (s *spare) killUs(img string, after int64) {
	s.t.Helper()
	cmd := exec.Command("groundhog", s.args(goodDisk, img)...)
	judge.Must(s.t, cmd.Start())
	over := make(chan struct{})
	var err error
	go func() { err = cmd.Wait(); close(over) }()
	s.sent(over, 20_000+after)
	cmd.Process.Kill()
	if <-over; err == nil {
		s.t.Errorf("after %d bytes: it was through before it was killed", after)
	}
	code, out := s.flash(goodDisk, img)
	for strings.Contains(out, "another flash is at work") && s.ctx.Err() == nil { // its writer has not noticed yet
		code, out = s.flash(goodDisk, img)
	}
	s.verified("our side killed", code, out, img)
}

// interrupted is Ctrl-C in the middle of the write: it says what state the device is in.
func (s *spare) interrupted(img string) {
	s.t.Helper()
	code, out := ctrlC(s.t, s.args(goodDisk, img), func(over <-chan struct{}) { s.sent(over, 4<<20) })
	s.failed("interrupted", code, out, exitInterrupted, "interrupted; "+s.target()+" waits in its initramfs, its disk is neither the old nor the new one")
	if got := s.says("groundhog-writer state /dev/vda"); !strings.HasPrefix(got, "writing ") {
		s.t.Errorf("the device says %q", got)
	}
}

// cutPower switches the device off during the write: nothing claims more than is known, and after the power is back the
// same flash ends verified.
func (s *spare) cutPower(img string) {
	s.t.Helper()
	over := make(chan struct{})
	go func() { s.sent(over, 4<<20); s.PowerOff() }()
	code, out := s.flash(goodDisk, img, "--patience", "15s")
	close(over)
	s.failed("power cut", code, out, exitTrouble, "no progress within")
	if !strings.Contains(out, "has not answered, and its disk may be neither the old nor the new one") {
		s.t.Error("power cut: it does not say what the disk is now")
	}
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Minute)
	defer cancel()
	judge.Must(s.t, s.PowerOn(ctx))
	judge.Must(s.t, s.WaitLogin(ctx, s.login))
	s.Link().Shape(link.Shape{})
	code, out = s.flash(goodDisk, img)
	s.verified("after a power cut", code, out, img)
}

// The power of the device and of its disk is cut while a flash writes, and of what the disk did not flush a part is lost, in
// any order. What was called verified is on the medium; where the first mebibyte is the image's, all is; the next one goes on.
func TestFlashPowerCuts(t *testing.T) {
	t.Parallel()
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 64, Rules: &faulty.Rules{Volatile: true}}}})
	images := []string{noiseImage(t, 41, 12), noiseImage(t, 42, 12)}
	const size = 6 << 20
	cuts := 100
	for i := range cuts {
		img := images[i%2]
		over, off := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(off)
			s.sent(over, 50_000+size*int64(i)/int64(cuts))
			if err := s.Faulty(0).Cut(float64(i%3)/2, uint64(i)); err != nil { // of what was not flushed none, a half, all is kept
				t.Error(err)
			}
			s.PowerOff()
		}()
		code, out := s.flash(goodDisk, img, "--patience", "3s")
		close(over)
		<-off
		whole := s.holds(img)
		if code == 0 && !whole {
			t.Errorf("cut %d: a success, and the medium does not hold the image", i)
		}
		if !whole && s.begins(img) {
			t.Errorf("cut %d: the medium begins as the image does, and does not hold it", i)
		}
		if code != 0 && strings.Contains(out, "verified: ") {
			t.Errorf("cut %d: exit %d, and it says verified", i, code)
		}
		judge.Must(t, s.PowerOn(s.ctx))
		judge.Must(t, s.WaitLogin(s.ctx, s.login))
		code, out = s.flash(goodDisk, img)
		s.verified("after a power cut", code, out, img)
	}
}

// begins reports whether the first mebibyte of the first disk is an image's.
func (s *spare) begins(img string) bool {
	s.t.Helper()
	return string(judge.ReadFile(s.t, s.Disk(0)))[:1<<20] == string(judge.ReadFile(s.t, img))[:1<<20]
}
