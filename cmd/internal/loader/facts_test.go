package loader

import (
	"maps"
	"slices"
	"strings"
	"syscall"
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
	var st syscall.Statfs_t
	judge.Must(t, syscall.Statfs("/var/lib", &st))
	if bounded := st.Files > 0; bounded != (f.Get("state_files") != "") {
		t.Errorf("of %d files that /var/lib may have, %d are free by statfs and %q by the survey", st.Files, st.Ffree, f.Get("state_files"))
	}
	for _, bad := range []string{"", "end", "kernel 1\n", "x\nend ok\n", strings.Repeat("a b\n", maxFacts+1) + "end ok\n"} {
		if _, err := ParseFacts(bad); err == nil {
			t.Errorf("%.20q was understood", bad)
		}
	}
}
