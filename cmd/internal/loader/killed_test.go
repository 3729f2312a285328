package loader

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// killAt has bash kill itself before its command number n; what a power cut does to a disk is looked at in
// TestPowerCutStates.
func killAt(n int) func(string) string {
	return func(program string) string {
		return fmt.Sprintf("sync() { :; }\nset -T\nn=0\ntrap 'n=$((n + 1)); [ $n != %d ] || kill -9 $$' DEBUG\n", n) + program
	}
}

// unsynced is for what a test runs often: a flush of this machine's disk says nothing.
func unsynced(program string) string { return "sync() { :; }\n" + program }

// fewKills is how many of the commands that a run is killed before stand for one that a unit test kills it before.
const fewKills = 5

// killed runs do with a device of each layout again and again, killed some commands later each time, until it is not killed any more.
func killed(t *testing.T, step int, do func(t *testing.T, l *local, b Boot, n int) (over bool)) {
	for name, b := range allLayouts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1 + len(t.Name())*7%stride; ; n += stride * step { // each way has others
				l := newLocal(t, "bash")
				l.lay(b)
				if do(t, l, b, n) {
					if n < 60 {
						t.Errorf("only %d commands were seen", n)
					}
					t.Logf("%d commands", n)
					return
				}
			}
		})
	}
}

// A push that is killed before any of its commands: the old one boots or the new one, the same push again goes through, and what
// it leaves puts the original back.
func TestPushKilled(t *testing.T) { pushKilled(t, fewKills) }

func pushKilled(t *testing.T, step int) {
	killed(t, step, func(t *testing.T, l *local, b Boot, n int) bool {
		before := l.tree()
		l.edit = killAt(n)
		err := job(b, "archive").Run(t.Context(), l, strings.NewReader("archive"))
		if got := l.boots(b); got != "archive" && got != "the original" {
			t.Errorf("killed before command %d it boots %q", n, got)
		}
		l.edit = unsynced
		push(t, l, b, "archive two")
		if out, exit := l.boot(); exit != 0 || l.boots(b) != "the original" || l.tree() != before {
			t.Errorf("killed before command %d: %d: %s: it boots %q:\n%s", n, exit, out, l.boots(b), l.tree())
		}
		return err == nil
	})
}

// A second push that is killed, and a third one whose connection is cut: what boots is an archive that is there, and the original comes back.
func TestPushKilledThenCut(t *testing.T) { pushKilledThenCut(t, fewKills) }

func pushKilledThenCut(t *testing.T, step int) {
	killed(t, step, func(t *testing.T, l *local, b Boot, n int) bool {
		before := l.tree()
		l.edit = unsynced
		push(t, l, b, "archive")
		l.edit = killAt(n)
		err := job(b, "archive two").Run(t.Context(), l, strings.NewReader("archive two"))
		l.edit = unsynced
		booted := l.boots(b)
		cut := job(b, "archive three").Run(t.Context(), l, strings.NewReader("archive thr"))
		if got := l.boots(b); !(errors.Is(cut, ErrRefused) && got == booted) && !(errors.Is(cut, ErrTakenBack) && got == "the original") {
			t.Errorf("killed before command %d it boots %q, and then, %v, %q", n, booted, cut, got)
		}
		if _, again := Restore(t.Context(), l); again != nil && !errors.Is(again, ErrRefused) || l.tree() != before {
			t.Errorf("killed before command %d, restored: %v:\n%s", n, again, l.tree())
		}
		return err == nil
	})
}

// A push that is killed before config.txt names its archive has noted that name already: the next one does not write to the file that config.txt names.
func TestNameNoted(t *testing.T) {
	l, b := newLocal(t, deviceShell), layouts["firmware"]
	push(t, l, b, "archive")
	l.edit = func(program string) string {
		return strings.ReplaceAll(program, "\tbegin\n\tflip ", "\tkill -9 $$\n\tflip ")
	}
	if err := job(b, "two").Run(t.Context(), l, strings.NewReader("two")); err == nil || l.boots(b) != "archive" {
		t.Fatalf("%v: it boots %q", err, l.boots(b))
	}
	l.edit = nil
	if err := job(b, "three").Run(t.Context(), l, strings.NewReader("thr")); !errors.Is(err, ErrRefused) || l.boots(b) != "archive" {
		t.Errorf("%v: it boots %q", err, l.boots(b))
	}
	push(t, l, b, "three")
}

// A restore that is killed: the pushed one boots or the original, and the next restore, or the unit's, ends with the original.
func TestRestoreKilled(t *testing.T) { restoreKilled(t, fewKills) }

func restoreKilled(t *testing.T, step int) {
	killed(t, step, func(t *testing.T, l *local, b Boot, n int) bool {
		before := l.tree()
		l.edit = unsynced
		push(t, l, b, "archive")
		l.edit = killAt(n)
		_, err := Restore(t.Context(), l)
		if got := l.boots(b); got != "archive" && got != "the original" {
			t.Errorf("killed before command %d it boots %q", n, got)
		}
		l.edit = unsynced
		if _, again := Restore(t.Context(), l); again != nil && (!errors.Is(again, ErrRefused) || l.boots(b) != "the original") {
			t.Errorf("killed before command %d: again: %v", n, again)
		}
		if l.boots(b) != "the original" || l.tree() != before {
			t.Errorf("killed before command %d it boots %q:\n%s", n, l.boots(b), l.tree())
		}
		return err == nil
	})
}
