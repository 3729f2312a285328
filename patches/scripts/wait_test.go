package scripts

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	sourceHold = `. "$groundhog_root/scripts/groundhog/hold"; echo booted`
	lease      = "run/groundhog/lease"
	writing    = "run/groundhog/writing"
)

// quick is a conf whose waits are over in seconds; lines after it win.
func (m *machine) quick(lines ...string) {
	m.conf(append([]string{"GROUNDHOG_BUILD=1a2b3c", "GROUNDHOG_WAIT=1", "GROUNDHOG_POLL=0.1", "GROUNDHOG_SAY=1",
		"GROUNDHOG_LEASE_FRESH=2", "GROUNDHOG_LEASE_GRACE=1"}, lines...)...)
}

func TestWaitEnds(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick()
		m.dropbear()
		m.write("addr", "1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0\n")
		r := m.start(sourceHold)
		r.ends(0)
		for _, want := range []string{"build 1a2b3c waits 1 s", "ssh root@10.0.2.15\n", "groundhog-continue", "touch ", "nobody is here: booting on", "booted"} {
			if strings.Count(r.said(), want) != 1 {
				t.Errorf("not said once: %q in:\n%s", want, r.said())
			}
		}
		if strings.Contains(r.said(), "127.0.0.1") || m.has("run/groundhog/wait.pid") || !m.has("run/groundhog/leaving") || m.read("run/groundhog/build") != "1a2b3c\n" {
			t.Errorf("not as it should be:\n%s", r.said())
		}
	})
}

// Where dropbear listens elsewhere the line that logs in says so.
func TestWaitSaysThePort(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick("GROUNDHOG_PORT=2222")
		m.dropbear()
		m.write("addr", "2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0\n")
		r := m.start(sourceHold)
		r.ends(0)
		if !strings.Contains(r.said(), "log in:  ssh -p 2222 root@10.0.2.15\n") {
			t.Errorf("got:\n%s", r.said())
		}
	})
}

// No wait where it is switched off, where nobody can log in, and where the wait itself is missing.
func TestNoWait(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		for _, conf := range []string{"GROUNDHOG_WAIT=0", "GROUNDHOG_BUILD=1a2b3c"} {
			m.conf(conf)
			if conf != "GROUNDHOG_WAIT=0" {
				m.write("run/groundhog/unreachable", "")
			}
			if got := m.run(sourceHold); got != "booted\n" || !m.has("run/groundhog/build") || !m.has("run/groundhog/leaving") {
				t.Errorf("got:\n%s", got)
			}
		}
		m.remove(Dir + "/wait")
		m.run(sourceHold)
	})
}

// What brings the network up in a later stage runs before the wait is over, and then no more.
func TestEarlyScripts(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick()
		m.dropbear()
		const order = "/scripts/local-top/vpn \"$@\"\nparam\n/scripts/local-top/vpn2 \"$@\"\nparam\n"
		m.write("scripts/local-top/ORDER", order)
		m.write("scripts/nfs-top/ORDER", order)
		for _, name := range []string{"scripts/local-top/vpn", "scripts/nfs-top/vpn"} {
			m.write(name, "#!"+m.bin+"/sh\necho $0 >>$groundhog_root/ran; read line && echo $line\n")
			m.must(os.Chmod(m.root+"/"+name, 0o755))
		}
		m.write("scripts/local-top/vpn2", "")
		m.write(Early, "/scripts/local-top/vpn\n/scripts/nfs-top/vpn\n/scripts/local-top/vpn2\n/scripts/local-top/gone\n/init\n")
		r := m.start(sourceHold)
		r.ends(0)
		if got, want := m.read("ran"), m.root+"/scripts/local-top/vpn\n"; got != want {
			t.Errorf("ran %q, want %q:\n%s", got, want, r.said())
		}
		if got := m.read("scripts/local-top/ORDER"); got != "param\n/scripts/local-top/vpn2 \"$@\"\nparam\n" {
			t.Errorf("ORDER: %q", got)
		}
		if m.read("scripts/nfs-top/ORDER") != order {
			t.Error("a stage that this boot does not have was changed")
		}
		if !strings.Contains(r.said(), "running /scripts/local-top/vpn before the wait") {
			t.Errorf("not said:\n%s", r.said())
		}
		m.conf("GROUNDHOG_WAIT=0")
		m.write("scripts/local-top/ORDER", order)
		m.run(sourceHold)
		if m.read("scripts/local-top/ORDER") != order {
			t.Error("without a wait something was run early")
		}
	})
}

// Where nobody named an interface none is named to what comes after us, nor to what is run early; one that was named stays.
func TestUnnamedInterfaceIsNobodysAfterUs(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		for conf, want := range map[string]string{"any": "<>", "": "<eth0>", "eth0": "<eth0>"} {
			m.conf("GROUNDHOG_WAIT=0", "GROUNDHOG_DEVICE="+conf)
			m.write("conf/param.conf", "X=1\n")
			got := m.run(sourceHold+"; sh -c 'printf \"<%s>\" \"$DEVICE\"'; . $groundhog_root/conf/param.conf; printf '<%s>' $X \"$DEVICE\"", "DEVICE=eth0")
			if !strings.HasSuffix(got, want+"<1>"+want) {
				t.Errorf("GROUNDHOG_DEVICE=%s: %s", conf, got)
			}
		}
	})
}

// mkinitramfs asks the gate what it comes after: everything there that it will run.
func TestGate(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_WAIT=0")
		m.must(os.Chmod(m.root+"/"+Gate, 0o755))
		for name, mode := range map[string]os.FileMode{"dropbear": 0o755, "wireless": 0o755, "ORDER": 0o644, "data": 0o644} {
			m.write("scripts/init-premount/"+name, "")
			m.must(os.Chmod(m.root+"/scripts/init-premount/"+name, mode))
		}
		if got := m.run("sh "+Gate+" prereqs", "DESTDIR="+m.root); got != "dropbear wireless " {
			t.Errorf("%q", got)
		}
		if m.has("run/groundhog/build") {
			t.Error("it waited when it was asked")
		}
		m.run("sh " + Gate)
		if !m.has("run/groundhog/build") {
			t.Error("it does not hold")
		}
	})
}

// The time counts from when dropbear runs, not from the shell that will be dropbear.
func TestWaitForDropbear(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick("GROUNDHOG_WAIT=0")
		m.process(500, 1, "sh", "S", "/usr/bin/busybox")
		m.write("run/dropbear.pid", "500\n")
		r := m.start("sh scripts/groundhog/wait")
		r.sees("waiting for the network and dropbear", 3)
		m.must(os.Symlink("/usr/sbin/dropbear", m.root+"/exe"))
		m.must(os.Rename(m.root+"/exe", m.root+"/proc/500/exe")) // at once, as exec does
		r.ends(0)
		if !strings.Contains(r.said(), "build 1a2b3c waits 0 s") {
			t.Errorf("not announced:\n%s", r.said())
		}
	})
}

func TestDropbearNeverComes(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick("GROUNDHOG_DROPBEAR_TIMEOUT=1")
		for _, pid := range []string{"", "$(reboot)", "0", "-1"} {
			m.write("run/dropbear.pid", pid)
			if got := m.run("sh scripts/groundhog/wait"); !strings.Contains(got, "dropbear does not run after 1 s") {
				t.Errorf("pid %q:\n%s", pid, got)
			}
		}
	})
}

// A shell that died while it configured the network never becomes dropbear: no reason to stay.
func TestDropbearGone(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick("GROUNDHOG_WAIT=900")
		m.write("run/dropbear.pid", "500\n")
		if got := m.run("sh scripts/groundhog/wait"); !strings.Contains(got, "dropbear has ended: nobody can log in") {
			t.Errorf("got:\n%s", got)
		}
	})
}

// All of it holds before dropbear runs as well.
func TestEarly(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick("GROUNDHOG_DROPBEAR_TIMEOUT=900", "GROUNDHOG_LEASE_FRESH=900")
		m.touchLease(time.Now())
		r := m.start(sourceHold)
		r.sees("held: somebody is at work (lease)", 1)
		m.write(writing, "")
		r.sees("held: a write has begun", 1)
		m.remove(writing)
		m.write("run/groundhog/continue", "")
		r.ends(0)
	})
}

func TestContinueLeaves(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.quick("GROUNDHOG_WAIT=900")
		m.dropbear()
		r := m.start(sourceHold)
		r.sees("waiting, ", 1)
		m.run("sh " + m.root + "/" + contPath)
		r.ends(0)
	})
}

// A kill of the wait lets the boot go on, and promptly.
func TestKillLeaves(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(strconv.Itoa(int(signal)), func(t *testing.T) {
			each(t, func(t *testing.T, m *machine) {
				m.quick("GROUNDHOG_WAIT=900", "GROUNDHOG_POLL=1")
				m.dropbear()
				r := m.start(sourceHold)
				r.sees("groundhog-continue", 1)
				syscall.Kill(m.pid("run/groundhog/wait.pid"), signal)
				r.ends(0) // of 15 minutes it waits for it half a one
			})
		})
	}
}

// A running watchdog is fed by one feeder, whose end does not disarm it; one at rest stays so.
func TestWatchdog(t *testing.T) {
	for _, signal := range []syscall.Signal{0, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(strconv.Itoa(int(signal)), func(t *testing.T) {
			each(t, func(t *testing.T, m *machine) {
				m.quick("GROUNDHOG_WAIT=2")
				m.dropbear()
				m.write("sys/class/watchdog/watchdog0/state", "active\n")
				m.write("sys/class/watchdog/watchdog0/timeout", "15\n")
				m.write("sys/class/watchdog/watchdog1/state", "inactive\n")
				m.write("sys/class/watchdog/watchdog2/state", "active\n") // but no node
				m.write("dev/watchdog0", "")
				m.write("dev/watchdog1", "")
				r := m.start(sourceHold)
				m.eventually("a feeder", r, func() bool { return alive(m.pid("feeder")) })
				r.sees("waiting, ", 1)
				if signal != 0 {
					syscall.Kill(m.pid("run/groundhog/wait.pid"), signal)
				}
				r.ends(0)
				for end := time.Now().Add(patience); alive(m.pid("feeder")); time.Sleep(20 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("the feeder lives on")
					}
				}
				if got, want := m.log(), "watchdog -F -T 15 -t 5 "+m.root+"/dev/watchdog0\n"; strings.Count(got, "watchdog -F") != 1 || !strings.Contains(got, want) || strings.Contains(got, "disarmed") {
					t.Errorf("want only %q, got:\n%s", want, got)
				}
			})
		})
	}
}

// Neither a file in the way nor a bad conf ends the wait early or keeps it forever.
func TestWaitSurvives(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.write("run/groundhog", "")
		m.quick("GROUNDHOG_POLL=$(reboot)", "GROUNDHOG_SAY=-1", "GROUNDHOG_LEASE_GRACE=`reboot`", "GROUNDHOG_BUILD=\x1b[2J;$(reboot)")
		m.dropbear()
		got := m.run(sourceHold)
		for _, want := range []string{"could not write", "build unknown", "nobody is here: booting on", "booted"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in:\n%s", want, got)
			}
		}
	})
}
