package loader

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// failAt has the device's n-th run of a program fail, as on a full disk. The number of runs is in a file: many are in subshells.
func failAt(n int) func(string) string {
	return func(program string) string {
		var b strings.Builder
		b.WriteString("sync() { :; }\nran() { echo >>\"$groundhog_root/run/ran\"; mapfile <\"$groundhog_root/run/ran\" ran_lines; ran=${#ran_lines[@]}; }\n: >\"$groundhog_root/run/ran\"\n")
		for _, name := range strings.Fields("awk cat chmod chown cmp cp dd grep grub-editenv ln mkdir mv od rm sed sha256sum stat tr") {
			fmt.Fprintf(&b, "%s() { ran; [ $ran != %d ] || return 1; command %[1]s \"$@\"; }\n", name, n)
		}
		return noSeek[strings.Index(noSeek, "tail()"):] + b.String() + program
	}
}

// everyWay is all ways that write something: how a machine of each is made, and what it boots.
func everyWay() map[string]shot {
	all := maps.Clone(shots)
	for name, b := range allLayouts() {
		all[name] = shot{b, func(_ *testing.T, l *local) { l.lay(b) }, func(_ *testing.T, l *local) string { return l.boots(b) }}
	}
	return all
}

// Whatever fails on the device in a push: what boots is whole, a push that is refused leaves nothing behind, and of one that failed later restore makes what was before.
func TestPushFails(t *testing.T) { pushFails(t, 4) }

// pushFails has one run of a program in some fail.
func pushFails(t *testing.T, step int) {
	for name, s := range everyWay() {
		for what, earlier := range map[string]bool{"first": false, "second": true} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				refused := 0
				for n := 1 + len(name+what)*5%failStride; ; n += failStride * step { // each way has others
					l := newLocal(t, "bash")
					s.make(t, l)
					before, old := l.tree(), "the original"
					if earlier {
						l.edit = unsynced
						judge.Must(t, job(s.boot, "earlier").Run(t.Context(), l, strings.NewReader("earlier")))
						old = "earlier"
					}
					l.edit = failAt(n)
					err := job(s.boot, "archive").Run(t.Context(), l, strings.NewReader("archive"))
					ran := strings.Count(l.read("run/ran"), "\n")
					l.edit = unsynced
					left := l.tree()
					switch boots := s.boots(t, l); {
					case err == nil && boots != "archive",
						errors.Is(err, ErrTakenBack) && (boots != "the original" || !earlier),
						errors.Is(err, ErrRefused) && boots != old,
						errors.Is(err, ErrTrouble) && boots != "archive" && boots != "the original" && boots != old:
						t.Errorf("run %d failed, it boots %q: %v", n, boots, err)
					}
					if errors.Is(err, ErrRefused) && !earlier || errors.Is(err, ErrTakenBack) {
						if refused++; left != before {
							t.Errorf("run %d failed: %v:\n%snot as before:\n%s", n, err, left, before)
						}
					}
					if boots := s.boots(t, l); s.boot.Way.Once() && boots != "the original" {
						t.Errorf("run %d failed, then it boots %q", n, boots)
					}
					if _, err := os.Stat(filepath.Join(l.root, "var/lib/groundhog/state")); err == nil {
						if _, err := Restore(t.Context(), l); err != nil {
							t.Errorf("run %d failed, and then restore: %v", n, err)
						}
					}
					if after := l.tree(); after != before && err != nil {
						t.Errorf("run %d failed: %v; after a restore:\n%snot as before:\n%s", n, err, after, before)
					}
					if n > ran {
						t.Logf("%d runs, %d refused", n, refused)
						return
					}
				}
			})
		}
	}
}
