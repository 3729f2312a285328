package loader

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// Each file of shell is embedded once, and shellcheck finds nothing in it.
func TestScripts(t *testing.T) {
	shellcheck := judge.Tool(t, "shellcheck")
	var source strings.Builder
	for _, name := range glob("*.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b := judge.ReadFile(t, name)
		source.Write(b)
	}
	files := glob("*.sh")
	if len(files) < 7 {
		t.Fatal(files)
	}
	for _, name := range files {
		if n := strings.Count(source.String(), "//go:embed "+filepath.Base(name)+"\n"); n != 1 {
			t.Errorf("%s is embedded %d times", name, n)
		}
		if out, err := exec.Command(shellcheck, "-s", "dash", name).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
