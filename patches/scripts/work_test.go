package scripts

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func (m *machine) touchLease(at time.Time) {
	if !m.has(lease) {
		m.write(lease, "")
	}
	m.must(os.Chtimes(filepath.Join(m.root, lease), at, at))
}

// A lease that is touched holds; one that is not leaves. The clock may say what it wants.
func TestLease(t *testing.T) {
	times := map[string]func(i int64) time.Time{
		"now":       func(int64) time.Time { return time.Now() },
		"1970":      func(i int64) time.Time { return time.Unix(i, 0) },
		"future":    func(i int64) time.Time { return time.Unix(4e9+i, 0) },
		"backwards": func(i int64) time.Time { return time.Unix(1e9-i, 0) },
	}
	for name, at := range times {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, m *machine) {
				m.quick("GROUNDHOG_LEASE_GRACE=6") // long enough to be seen on a loaded machine
				m.dropbear()
				var i int64
				m.touchLease(at(i))
				r := m.start(sourceHold)
				m.eventually("4 lines", r, func() bool {
					i++
					m.touchLease(at(i))
					return strings.Count(r.said(), "held: somebody is at work (lease)") >= 4
				})
				last := time.Now()
				r.ends(0)
				// Fresh for 2 s and a grace of 6 s, less what whole seconds hide: of the mtime and twice of the uptime.
				if held := time.Since(last); held < 5*time.Second {
					t.Errorf("left %v after the last touch", held)
				}
				if !strings.Contains(r.said(), "waiting, ") {
					t.Errorf("not said that it waits again:\n%s", r.said())
				}
			})
		})
	}
}

// A lease given up lets the boot go on after the grace, though it was fresh.
func TestLeaseRemoved(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick("GROUNDHOG_LEASE_FRESH=90000")
		m.dropbear()
		m.touchLease(time.Now())
		r := m.start(sourceHold)
		r.sees("held: somebody is at work (lease)", 2)
		m.remove(lease)
		r.ends(0)
	})
}

// A login holds, a connection that has not logged in does not, nor does a finished one.
func TestSession(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick()
		m.dropbear()
		m.process(7, 2, "x) S 500 7 (", "S", "/bin/x") // a child of 2, whatever its name says
		m.process(501, 500, "dropbear", "S", "/usr/sbin/dropbear")
		m.process(502, 501, "d (d) d", "S", "/bin/dd")
		r := m.start(sourceHold)
		r.sees("held: somebody is logged in", 3)
		m.remove("proc/502")
		m.process(502, 501, "dd", "Z", "/bin/dd") // 501 is still connected, but nothing runs
		r.ends(0)
		if strings.Count(r.said(), "nobody is here") != 1 {
			t.Errorf("got:\n%s", r.said())
		}
	})
}

// Once a write has begun nothing lets the boot go on: not the time, not continue, not a kill of the
// wait, however hard. After its end the boot goes on as told.
func TestWriting(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick()
		m.dropbear()
		m.write(writing, "")
		m.write("run/groundhog/continue", "")
		r := m.start(sourceHold)
		const held = "held: a write has begun"
		r.sees(held, 3)
		pid := m.pid("run/groundhog/wait.pid")
		syscall.Kill(pid, syscall.SIGTERM)
		r.sees(held, 5)
		if m.pid("run/groundhog/wait.pid") != pid {
			t.Error("a TERM ended the wait during a write")
		}
		syscall.Kill(pid, syscall.SIGKILL)
		m.eventually("another wait", r, func() bool { p := m.pid("run/groundhog/wait.pid"); return p != pid && alive(p) })
		r.sees(held, 7)
		if m.has("run/groundhog/leaving") {
			t.Error("leaving is there during a write")
		}
		m.remove(writing)
		r.ends(0)
		if !strings.Contains(r.said(), "told to go on: booting on") {
			t.Errorf("got:\n%s", r.said())
		}
	})
}
