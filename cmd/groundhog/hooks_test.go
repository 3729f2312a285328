package main

import (
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/handmade"
	"groundhog/fixtures/judge"
)

// Two runs on one root tree at the same time come one after the other: both end well, and what they did can be undone.
func TestHooksOfTwoRuns(t *testing.T) {
	workplace(t)
	self := judge.Value(os.Executable())(t)
	for round := range 4 {
		os.RemoveAll("hooked")
		hooksRoot(t, "hooked")
		before := handmade.Snapshot(t, "hooked")
		var both sync.WaitGroup
		for _, args := range [][]string{{"--authorized-keys", "id.pub"}, {"--authorized-keys", "id_ed25519.pub", "--wait", "3m"}} {
			both.Go(func() {
				cmd := exec.Command(self, append([]string{"hooks", "hooked", "--no-writer"}, args...)...)
				cmd.Args[0] = "groundhog" // by which the test binary knows what it is
				if said, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("round %d: %q: %v: %s", round, args, err, said)
				}
			})
		}
		both.Wait()
		if code, _, said := here("hooks", "hooked", "--revert"); code != exitDone {
			t.Errorf("round %d: exit %d: %s", round, code, said)
		}
		if diff := cmp.Diff(before, handmade.Snapshot(t, "hooked")); diff != "" {
			t.Errorf("round %d: (-before +reverted):\n%s", round, diff)
		}
		if t.Failed() {
			return
		}
	}
}
