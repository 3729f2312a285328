//go:build full

package main

import (
	"bytes"
	"testing"

	"groundhog/fixtures/judge"
)

// TestAppendedBoots boots an archive with an appended segment; the input must
// stand at its beginning, byte for byte.
func TestAppendedBoots(t *testing.T) {
	t.Parallel()
	tgt := target(t, "bookworm", "amd64")
	for _, compression := range []string{"keep", "none"} {
		p := patchTarget(t, tgt, tgt.Plain, "--append", "--compression", compression)
		before := judge.ReadFile(t, tgt.Plain)
		after := judge.ReadFile(t, p.archive)
		if !bytes.HasPrefix(after, before) {
			t.Fatal("the appended archive does not begin with the input")
		}
		g := p.boot(t, p.machine())
		g.says("cat /run/groundhog/build", p.report.Build)
		g.says("ls /bin | grep -c . >/dev/null; curl --version | cut -d' ' -f1 | head -n1", "curl")
		g.vm.Close()
	}
}
