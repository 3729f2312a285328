package patches

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"
	"groundhog/patches/scripts"
)

func TestHookShellcheck(t *testing.T) {
	if out, err := exec.Command(judge.Tool(t, "shellcheck"), "hooks.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, name := range []string{"/" + scripts.ShellPath, manifest.RecordPath, scripts.NetworkLine, scripts.Gate, "own=$groundhog_root/" + ownDir} {
		if !strings.Contains(string(hookScript), name) {
			t.Errorf("hooks.sh does not have %q", name)
		}
	}
}

// hookRun is our hook with a root tree and the tree that an initramfs is made from.
type hookRun struct {
	t          *testing.T
	root, dest string
}

func newHookRun(t *testing.T) *hookRun {
	h := &hookRun{t, t.TempDir(), t.TempDir()}
	h.write(h.root, ownDir+"/continue", "the end\n")
	h.write(h.root, ownDir+"/patches.json", "{}\n")
	h.write(h.root, certBundle, "system\n")
	h.write(h.dest, "conf/arch.conf", "")
	h.write(h.dest, scripts.Conf, "GROUNDHOG_WAIT=1\n")
	h.write(h.dest, premountScript, scripts.NetworkLine+"\nrun_dropbear &\n")
	h.write(h.dest, "etc/passwd", "root:*:0:0::/root-x:/bin/sh\n")
	return h
}

func (h *hookRun) write(dir, name, text string) {
	h.t.Helper()
	judge.WriteTree(h.t, dir, map[string]string{name: text})
}

func (h *hookRun) run(shell []string, env ...string) (string, error) {
	cmd := exec.Command(shell[0], append(shell[1:], "hooks.sh")...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "DESTDIR=" + h.dest, "groundhog_root=" + h.root}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// has checks a file of the initramfs; "" is none.
func (h *hookRun) has(name, want string) {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dest, name))
	if string(b) != want || (err != nil) != (want == "") {
		h.t.Errorf("%s: got %q, %v; want %q", name, b, err, want)
	}
}

func eachHookShell(t *testing.T, f func(t *testing.T, shell []string)) {
	for _, shell := range [][]string{{"dash"}, {"busybox", "sh"}} {
		t.Run(shell[0], func(t *testing.T) { f(t, append([]string{judge.Tool(t, shell[0])}, shell[1:]...)) })
	}
}

func TestHookRuns(t *testing.T) {
	eachHookShell(t, func(t *testing.T, shell []string) {
		h := newHookRun(t)
		h.write(h.dest, "bin/curl", "curl")
		h.write(h.root, ownDir+"/shell", "shell\n")
		if out, err := h.run(shell, "SOURCE_DATE_EPOCH=1000"); err != nil || out != "" {
			t.Fatalf("%v: %s", err, out)
		}
		h.has("usr/bin/groundhog-continue", "the end\n")
		h.has("usr/bin/groundhog-shell", "shell\n")
		h.has("etc/passwd", "root:*:0:0::/root-x:/usr/bin/groundhog-shell\n")
		h.has("etc/shells", "/bin/sh\n/usr/bin/groundhog-shell\n")
		h.has(certBundle, "system\n")
		h.has(manifest.RecordPath, "{}\n")
		h.has(scripts.Conf, "GROUNDHOG_WAIT=1\nGROUNDHOG_EPOCH=1000\n")
		for _, name := range []string{"continue", "shell"} {
			if info, err := os.Stat(filepath.Join(h.dest, "usr/bin/groundhog-"+name)); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
	})
}

func TestHookPlainCases(t *testing.T) {
	eachHookShell(t, func(t *testing.T, shell []string) {
		h := newHookRun(t)
		h.write(h.root, ownDir+"/ca.pem", "given\n")
		if out, err := h.run(shell); err != nil || out != "" {
			t.Fatalf("%v: %s", err, out)
		}
		h.has("usr/bin/groundhog-shell", "")
		h.has("etc/passwd", "root:*:0:0::/root-x:/bin/sh\n")
		h.has(certBundle, "") // nobody to read it
		h.write(h.dest, "bin/curl", "curl")
		if out, err := h.run(shell); err != nil || out != "" {
			t.Fatalf("%v: %s", err, out)
		}
		h.has(certBundle, "given\n")
	})
}

// Where dropbear's script is not ours any more, the hook says so, leaves no
// record behind, and lets mkinitramfs go on. What it cannot write stops that.
func TestHookGivesUp(t *testing.T) {
	eachHookShell(t, func(t *testing.T, shell []string) {
		h := newHookRun(t)
		h.write(h.dest, premountScript, "run_dropbear &\n")
		h.write(h.dest, scripts.Gate, "gate\n")
		if out, err := h.run(shell); err != nil || !strings.Contains(out, "run groundhog hooks again") {
			t.Errorf("%v: %s", err, out)
		}
		h.has(manifest.RecordPath, "")
		h.has(scripts.Gate, "") // nothing would start dropbear as it expects

		h = newHookRun(t)
		judge.Must(t, os.Remove(filepath.Join(h.root, ownDir, "patches.json")))
		if out, err := h.run(shell); err == nil || !strings.Contains(out, "could not write etc/groundhog/patches.json") {
			t.Errorf("%v: %s", err, out)
		}
		if out, err := exec.Command(shell[0], append(shell[1:], "hooks.sh", "prereqs")...).Output(); err != nil || string(out) != "dropbear\n" {
			t.Errorf("prereqs: %q, %v", out, err)
		}
	})
}
