package debian

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/handedits"
	"groundhog/fixtures/judge"
)

// sourceInNew is SourceInInit of a shell where nothing is set.
func sourceInNew(files []SourceFile) Settings {
	s := newShell()
	s.sourceAll(files)
	return s.sourcedSettings()
}

// Shells say what they end up with. What we call certain is that; of the rest, which
// only a running machine can tell, nothing is believed.
func TestSourceAsShells(t *testing.T) {
	for _, sh := range [][]string{{judge.Tool(t, "busybox"), "sh"}, {judge.Tool(t, "dash")}} {
		certain := 0
		for _, text := range handedits.Settings {
			dir := t.TempDir()
			judge.WriteFile(t, filepath.Join(dir, "conf"), text)
			cmd := exec.Command(sh[0], append(sh[1:], "-c", `unset DEVICE X; . ./conf; printf "<%s>" "${DEVICE-unset}"`)...)
			cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
			out, err := cmd.Output()
			got := sourceInNew([]SourceFile{{"conf", []byte(text), ""}})
			value, sure := got.Get("DEVICE")
			if _, set := got.Vars["DEVICE"]; !set {
				value = "unset"
			}
			if !sure {
				continue
			}
			certain++
			if want := "<" + value + ">"; err != nil || string(out) != want {
				t.Errorf("%v: %q gives %q, %v; we say %q for certain", sh, text, out, err, want)
			}
		}
		if certain < 67 {
			t.Errorf("only %d of %d were certain", certain, len(handedits.Settings))
		}
	}
}

// What may set anything leaves nothing certain, and no file makes us work long.
func TestSourceDoubt(t *testing.T) {
	double := strings.Repeat("A=$A$A\n", 60)
	for _, text := range []string{"eval X=1\n", ". /x\n", "DEVICE='a\n", "if\n", strings.Repeat("(", 60000), "A=xxxxxxxx\n" + double,
		strings.Repeat("#", maxSourced+1), "alias a=b\n", "read DEVICE\n"} {
		if got := sourceInNew([]SourceFile{{"conf", []byte("DEVICE=a\n"), ""}, {"more", []byte(text), ""}}); got.Doubt == "" {
			t.Errorf("%.40q: certain of %v", text, got.Vars)
		}
	}
}

func FuzzSource(f *testing.F) {
	for _, text := range handedits.Settings {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := sourceInNew([]SourceFile{{"conf", []byte(text), ""}})
		size := 0
		for name, v := range got.Vars {
			size += len(v.Value)
			if name == "" || v.From != "conf" || len(v.Maybe) > maxOtherWords {
				t.Fatalf("%q: %+v", name, v)
			}
		}
		if size > maxShellState+maxSourced {
			t.Fatalf("%d bytes of values from %d", size, len(text))
		}
		// A last word makes up for all that was not certain, but for what may set anything.
		if got.Doubt == "" {
			again := sourceInNew([]SourceFile{{"conf", []byte(text), ""}, {"last", []byte("DEVICE=last\n"), ""}})
			if value, sure := again.Get("DEVICE"); value != "last" || !sure {
				t.Fatalf("%q, %v", value, sure)
			}
		}
	})
}
