package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

const (
	restoreUnit = "run/systemd/system/groundhog-restore.service"
	restoreWant = "run/systemd/system/multi-user.target.wants/groundhog-restore.service"
)

// Whether anybody waits or not, the next system has the unit that puts the original back.
func TestOriginalUnit(t *testing.T) {
	for _, wait := range []string{"0", "900"} {
		t.Run(wait, func(t *testing.T) {
			each(t, func(t *testing.T, m *machine) {
				m.conf("GROUNDHOG_WAIT=" + wait)
				m.nic("eth0", "1")
				m.write("run/groundhog/continue", "")
				if got := m.run(sourceBoth); !strings.Contains(got, "alive") {
					t.Fatalf("the caller ended:\n%s", got)
				}
				unit := m.read(restoreUnit)
				for _, line := range []string{
					"RequiresMountsFor=/boot /var/lib/groundhog\n",
					"ConditionPathExists=/var/lib/groundhog/restore\n",
					"ExecStart=/bin/sh /var/lib/groundhog/restore\n",
				} {
					if !strings.Contains(unit, line) {
						t.Errorf("no %q in:\n%s", line, unit)
					}
				}
				if m.read(restoreWant) != unit {
					t.Error("multi-user.target.wants does not lead to the unit")
				}
			})
		})
	}
}

// The unit is there while the wait lasts, not only at its end: whoever kills the wait boots on, too.
func TestOriginalBeforeTheWait(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_WAIT=900", "GROUNDHOG_POLL=0.1")
		m.nic("eth0", "1")
		r := m.start(sourceBoth)
		m.eventually("the wait's pid", r, func() bool { return m.has("run/groundhog/wait.pid") })
		if !m.has(restoreWant) {
			t.Error("the wait has begun without the unit")
		}
		m.write("run/groundhog/continue", "")
		r.ends(0)
	})
}

// A /run that takes nothing is said, and the boot goes on.
func TestOriginalCannotBeWritten(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_WAIT=0")
		m.nic("eth0", "1")
		m.write("run/systemd", "in the way")
		if got := m.run(sourceBoth); !strings.Contains(got, "the original initramfs will not be put back") || !strings.Contains(got, "alive") {
			t.Errorf("got:\n%s", got)
		}
	})
}

// systemd itself finds nothing wrong with the unit.
func TestOriginalVerify(t *testing.T) {
	t.Parallel()
	analyze := judge.Tool(t, "systemd-analyze")
	script := judge.Value(scriptFS.ReadFile("groundhog/original"))(t)
	_, rest, _ := strings.Cut(string(script), "<<'UNIT'\n")
	unit, _, found := strings.Cut(rest, "UNIT\n")
	if !found {
		t.Fatal("the script has no unit in it")
	}
	path := filepath.Join(t.TempDir(), "groundhog-restore.service")
	judge.Must(t, os.WriteFile(path, []byte(unit), 0o644))
	if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
