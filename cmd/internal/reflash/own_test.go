package reflash

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/cmd/internal/loader"
	"groundhog/cmd/internal/push"
	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/patches/scripts"
)

// shells are what runs an initramfs's scripts.
func shells(t *testing.T) map[string][]string {
	return map[string][]string{"dash": {judge.Tool(t, "dash")}, "busybox": {judge.Tool(t, "busybox"), "ash"}}
}

// Whatever a device answers, a real shell that reads its own segment runs nothing
// of it, and has an address or none.
func TestOwnSegmentInAShell(t *testing.T) {
	hostile := []string{"fe80::1%;touch ran;", "fe80::1%$(touch ran)", "192.0.2.1;touch ran", "`touch ran`", "$(touch ran)", "192.0.2.1\ntouch ran",
		"::ffff:192.0.2.1%;touch ran", "192.0.2.1%;touch ran", "'; touch ran; '", "02:00:5e:10:00:01;touch ran", "", " ", "0x7f.1", "192.0.2.1/24;touch ran"}
	for _, field := range []string{"prefix", "gateway", "mac", "interface", "address", "mac_assigned"} {
		for _, value := range hostile {
			f := loader.Facts{"prefix": {"192.0.2.7/24"}, "gateway": {"192.0.2.1"}, "mac": {"02:00:5e:10:00:01"}, "mac_assigned": {"3"}, "interface": {"eth0"}}
			f[field] = []string{value}
			ownSegmentIn(t, f, field+" "+value)
		}
	}
}

func ownSegmentIn(t *testing.T, f loader.Facts, what string) {
	t.Helper()
	img, err := initrd.New(initrd.None, initrd.Entry{Name: "scripts", Mode: initrd.TypeDir | 0o755}, initrd.Entry{Name: "scripts/groundhog", Mode: initrd.TypeDir | 0o755},
		initrd.Entry{Name: scripts.Conf, Mode: initrd.TypeFile | 0o644, Nlink: 1, Data: []byte("GROUNDHOG_WAIT=900\nGROUNDHOG_MAC=keep\n")})
	if err != nil {
		t.Fatal(err)
	}
	p := push.PersonalOf(f)
	var b bytes.Buffer
	if err := (&Archive{Image: img}).writePersonal(&b, p); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	own, err := initrd.Read(&b, initrd.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, name := range []string{ownIP, scripts.Conf} {
		text, err := own.ReadFile(name)
		if err != nil {
			continue // nothing of its own to say there
		}
		for shell, args := range shells(t) {
			dir := t.TempDir()
			judge.WriteFile(t, filepath.Join(dir, "file"), text)
			cmd := exec.Command(args[0], append(args[1:], "-euc", ". ./file; printf '%s' \"${IP-}\"")...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil || name == ownIP && string(out) != p.IP() || strings.Count(string(text), "\n") > 2 {
				t.Errorf("%s: %s in %s: %q, %v", what, text, shell, out, err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("%s: %q did something in %s: %v", what, text, shell, left)
			}
		}
	}
}
