package manifest_test

import (
	"os/exec"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// Other build tools import this package: it brings neither a command line nor
// the network, nor anything of ours that is not about files' formats.
func TestImports(t *testing.T) {
	out, err := exec.Command(judge.Tool(t, "go"), "list", "-deps", "groundhog/manifest").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, bad := range []string{"github.com/spf13/", "net/http", "golang.org/x/net/", "groundhog/cmd", "groundhog/fixtures", "groundhog/patches"} {
			if dep == bad || strings.HasPrefix(dep, bad) && dep != "groundhog/initrd/debian/dropbear" {
				t.Errorf("it imports %s", dep)
			}
		}
	}
}
