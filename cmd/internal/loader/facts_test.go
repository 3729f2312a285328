package loader

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// This very machine can be looked at, and what comes is understood.
func TestSurvey(t *testing.T) {
	l := newLocal(t, "dash")
	l.root = ""
	f := judge.Value(Survey(t.Context(), l))(t)
	for _, key := range []string{"kernel", "modules", "arch", "boot_id", "memory", "boot_free", "state_free"} {
		if f.Get(key) == "" {
			t.Errorf("no %s among %v", key, slices.Sorted(maps.Keys(f)))
		}
	}
	for _, bad := range []string{"", "end", "kernel 1\n", "x\nend ok\n", strings.Repeat("a b\n", maxFacts+1) + "end ok\n"} {
		if _, err := ParseFacts(bad); err == nil {
			t.Errorf("%.20q was understood", bad)
		}
	}
}
