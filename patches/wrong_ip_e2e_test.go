//go:build e2e

package patches

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
)

// The ipconfig of the archive's own release takes what we take, and where it takes a word for an interface that nobody has we say so.
func TestWrongIPAsIpconfig(t *testing.T) {
	if os.Getuid() != 0 {
		judge.Missing(t, "root, to chroot and to have a network of its own")
	}
	for _, suite := range judge.Cases([]string{"bookworm"}, "bullseye", "trixie") {
		tgt := judge.Value(fixtures.BuildTarget(t.Context(), suite, "amd64", os.Stderr))(t)
		for value := range ipForms {
			right := wrongIP(value, suite) == ""
			switch value {
			case "192.0.2.256::::box:eth1:off":
				continue // before trixie ipconfig makes another address of it
			case "", "on", "any", "dhcp", "bootp", "both", "rarp", "off", "none":
				continue // configure_networking itself knows these
			}
			cmd := exec.Command(judge.Tool(t, "unshare"), "-n", "chroot", tgt.Root, "/usr/lib/klibc/bin/ipconfig", "-n", "-t", "1", "-d", value)
			out, _ := cmd.CombinedOutput() // there is no interface, so it always fails
			text := string(out)
			device := strings.Contains(text, "ipconfig: "+value+": ")
			switch {
			case !strings.Contains(text, "no devices to configure") && !strings.Contains(text, "can't parse") && !strings.Contains(text, "invalid protocol"):
				t.Fatalf("%s, IP=%q: %s", suite, value, text)
			case right && !strings.Contains(text, "no devices to configure"):
				t.Errorf("%s, IP=%q: %s", suite, value, text)
			case !right && strings.Contains(text, "no devices to configure") && !device:
				t.Errorf("%s, IP=%q is refused, and ipconfig takes it: %s", suite, value, text)
			}
		}
	}
}
