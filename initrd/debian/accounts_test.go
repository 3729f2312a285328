package debian

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// passwds is etc/passwd in ways that one reader takes and another does not.
var passwds = []string{
	"root:*:0:0::/root-x:/bin/sh\n", "root:*:0:0::/evil\n", "root:*:0:0:\n", "root:*:0:0\n", "root:*:0\n", "root:*\n", "root\n",
	"root:*:0:0::/evil\nroot:*:0:0::/root-x:/bin/sh\n", "  root:x:0:0::/a:/bin/sh\n", "\troot:x:0:0::/a:\n", "#root:x:0:0::/a:/bin/sh\n",
	"root:x: 0:+0::/a:/bin/sh\n", "root:x:0x0:0::/a:/bin/sh\n", "root:x:00:0::/a:/bin/sh\n", "root:x:-0:0::/a:/bin/sh\n",
	"root:x:0 :0::/a:/bin/sh\n", "root::0:0::/a:/bin/sh\n",
	"+root:x:0:0::/a:/bin/sh\n", "-root:x:0:0::/a:/bin/sh\n", ":x:0:0::/a:/bin/sh\nroot:x:0:0::/b:/bin/sh\n", "root:x:0:0::/a:/bin/sh",
	"root:x:0:0::/a:/bin/sh\r\n", "toor:*:0:0::/evil:/bin/sh\nroot:*:0:0::/x:/bin/sh\n", "Root:x:0:0::/a:\nroot:x:0:0::b:\n", "\n\nroot:x:0:0::/:/bin/sh\n",
}

// The C library says who root is.
func TestAccountsAsLibc(t *testing.T) {
	judge.Tool(t, "unshare")
	name := filepath.Join(t.TempDir(), "passwd")
	ask := func(text string) (string, error) {
		judge.Must(t, os.WriteFile(name, []byte(text), 0o644))
		out, err := exec.Command("unshare", "-rm", "sh", "-c", `mount --bind "$1" /etc/passwd && { getent -s files passwd root || echo none; }`, "sh", name).CombinedOutput()
		return strings.TrimSuffix(string(out), "\n"), err
	}
	if out, err := ask(passwds[0]); err != nil {
		judge.Missing(t, fmt.Sprintf("the right to mount (%v: %s)", err, out))
	}
	for _, text := range passwds {
		want := judge.Value(ask(text))(t)
		got := "none"
		for _, a := range parseAccounts([]byte(text)) {
			if a.Name == "root" {
				got = fmt.Sprintf("root:%s:%d:%d:%s:%s:%s", a.Password, a.UID, a.GID, strings.Split(want+":::::", ":")[4], a.Home, a.Shell)
			}
		}
		if got != want {
			t.Errorf("%q: %q; the C library says %q", text, got, want)
		}
	}
}
