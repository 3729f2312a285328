package main

import (
	"bytes"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// An archive that comes through a pipe and is none is said to be that of standard input, and not kept: it would take the place of one that a device
// waits in.
func TestPushedPipeIsNone(t *testing.T) {
	workplace(t)
	whole := judge.ReadFile(t, "reflash.img")
	for about, b := range map[string][]byte{"empty": nil, "a text": []byte("a text\n"), "cut": whole[:len(whole)/2]} {
		var out, said bytes.Buffer
		code := run([]string{"push", "--ssh-config", "none", "root@127.0.0.1:1", "-"}, bytes.NewReader(b), &out, &said)
		if code != exitTrouble || !strings.Contains(said.String(), "standard input: ") || strings.Contains(said.String(), "archives/") {
			t.Errorf("%s: exit %d\n%s", about, code, said.String())
		}
		if names := left(t, "state/groundhog/archives"); len(names) > 0 {
			t.Errorf("%s: %q is kept", about, names)
		}
	}
	var out, said bytes.Buffer
	if code := run([]string{"push", "--ssh-config", "none", "root@127.0.0.1:1", "-"}, bytes.NewReader(whole), &out, &said); code != exitUnreachable {
		t.Errorf("whole: exit %d\n%s%s", code, out.String(), said.String())
	}
	if names := left(t, "state/groundhog/archives"); len(names) != 1 {
		t.Errorf("whole: %q is kept", names)
	}
}
