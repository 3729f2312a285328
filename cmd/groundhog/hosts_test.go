package main

import (
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// A list of hosts is what any editor makes of it: with a mark at its beginning, carriage returns, and no end of the last line.
func TestHostsOfEditors(t *testing.T) {
	workplace(t)
	text := "\ufeffroot@bench-1\r\n# a comment\r\n\r\n\troot@[::1]:2 # another\r\nssh://me@example.org@bench-3:22/"
	judge.WriteFile(t, "hosts", text)
	code, out, said := here("reflash", "--plan", "--ssh-config", "none", "--hosts", "hosts", "--force", "reflash.img", "disk.img")
	if code != exitDone || said != "" {
		t.Fatalf("exit %d\n%s", code, said)
	}
	for _, host := range []string{"root@bench-1", "root@[::1]:2", "ssh://me@example.org@bench-3:22/"} {
		if !strings.Contains(out, host) {
			t.Errorf("%s is not among\n%s", host, out)
		}
	}
}
