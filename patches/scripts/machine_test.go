package scripts

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// TestMain lets many tests run at once: they wait far more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "32")
	os.Exit(m.Run())
}

// A shell is one that the scripts must run under, with its own tools where it brings them.
type shell struct {
	name, path string
	applets    bool
}

// shells lists dash, busybox, klibc's sh where it is installed, and whatever GROUNDHOG_BUSYBOX
// names: paths of busybox programs of other releases, colons between them. The file must be called
// busybox, or it takes its own name for an applet's.
func shells() []shell {
	list := []shell{{"dash", "dash", false}, {"busybox", "busybox", true}}
	if klibc := "/usr/lib/klibc/bin/sh"; exists(klibc) {
		list = append(list, shell{"klibc", klibc, false})
	}
	for i, path := range filepath.SplitList(os.Getenv("GROUNDHOG_BUSYBOX")) {
		list = append(list, shell{fmt.Sprintf("busybox%d", i+2), path, true})
	}
	return list
}

// each runs a test under every shell, at the same time.
func each(t *testing.T, test func(t *testing.T, m *machine)) {
	t.Parallel()
	for _, sh := range shells() {
		t.Run(sh.name, func(t *testing.T) {
			t.Parallel()
			test(t, newMachine(t, sh))
		})
	}
}

// inTurn runs a test under every shell, or under one: the cases of a table take turns.
func inTurn(t *testing.T, n int, all bool, test func(t *testing.T, m *machine)) {
	if all {
		each(t, test)
		return
	}
	t.Parallel()
	sh := shells()[n%len(shells())]
	t.Run(sh.name, func(t *testing.T) { test(t, newMachine(t, sh)) })
}

// A machine is a root directory with the scripts in it, and a PATH that holds nothing but the tools
// the scripts may use. ip, date and watchdog are stubs that write down how they were called in the
// file log; reboot is one that nothing may ever call.
type machine struct {
	t         *testing.T
	root, bin string
}

const stubs = `#!/bin/sh
name=${0##*/}
echo "$name $*" >>"$groundhog_root/log"
case "$name $*" in
'ip -4 -o addr') [ ! -e "$groundhog_root/addr" ] || cat "$groundhog_root/addr" ;;
'ip link set dev '*' address '*) [ ! -e "$groundhog_root/stubborn" ] ;;
'date +%s') cat "$groundhog_root/clock" ;;
'watchdog '*)
	trap 'echo disarmed >>"$groundhog_root/log"; exit' TERM INT HUP
	echo $$ >"$groundhog_root/feeder"
	while :; do sleep 0.1; done
	;;
esac
`

func newMachine(t *testing.T, sh shell) *machine {
	path, err := exec.LookPath(sh.path)
	if err != nil {
		judge.Missing(t, sh.name)
	}
	dir := t.TempDir()
	m := &machine{t: t, root: filepath.Join(dir, "root"), bin: filepath.Join(dir, "bin")}
	for _, d := range []string{m.root + "/run", m.root + "/proc", m.root + "/dev", m.root + "/etc", m.root + "/sys/class/net", m.bin} {
		m.must(os.MkdirAll(d, 0o755))
	}
	for _, f := range append(Files(), Shell()) {
		m.write(f.Path, string(f.Data))
	}
	m.must(os.Symlink("/proc/uptime", m.root+"/proc/uptime"))
	m.write("scripts/functions", "configure_networking() {\n\t:\n}\n")
	m.write("clock", "1700000000\n")
	m.write("proc/cmdline", "quiet\n")
	m.must(os.Symlink(path, m.bin+"/sh"))
	for _, tool := range []string{"cat", "ln", "mkdir", "mv", "readlink", "rm", "sed", "sleep", "stat"} {
		from := path
		if !sh.applets {
			if from, err = exec.LookPath(tool); err != nil {
				judge.Missing(t, tool)
			}
		}
		m.must(os.Symlink(from, m.bin+"/"+tool))
	}
	for _, stub := range []string{"ip", "date", "watchdog", "reboot"} {
		m.must(judge.WriteProgram(m.bin+"/"+stub, []byte(stubs), 0o755))
	}
	// Some builds of busybox prefer their applets to PATH. There ip and date would be the real ones.
	if got := m.run("command -v ip"); strings.TrimSpace(got) != m.bin+"/ip" {
		t.Fatalf("%s takes ip for %q, not from PATH: it would change this machine", sh.path, got)
	}
	t.Cleanup(func() {
		if strings.Contains(m.log(), "reboot") {
			t.Error("text was run as a command")
		}
	})
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func (m *machine) has(path string) bool { return exists(filepath.Join(m.root, path)) }

func (m *machine) write(path, text string) {
	m.t.Helper()
	full := filepath.Join(m.root, path)
	m.must(os.MkdirAll(filepath.Dir(full), 0o755))
	m.must(judge.WriteProgram(full, []byte(text), 0o644))
}

func (m *machine) read(path string) string {
	b, _ := os.ReadFile(filepath.Join(m.root, path))
	return string(b)
}

func (m *machine) log() string { return m.read("log") }

func (m *machine) remove(path string) { m.must(os.RemoveAll(filepath.Join(m.root, path))) }

func (m *machine) conf(lines ...string) { m.write(Conf, strings.Join(lines, "\n")+"\n") }

// any is a conf where nobody named an interface.
func (m *machine) any() { m.conf("GROUNDHOG_DEVICE=any", "GROUNDHOG_INTERFACE_TIMEOUT=0") }

// nic makes an interface as sysfs shows it: kind 1 is Ethernet.
func (m *machine) nic(name, kind string) {
	dir := "sys/class/net/" + name + "/"
	m.write(dir+"device/uevent", "")
	m.write(dir+"address", "02:00:00:00:00:01\n")
	m.write(dir+"flags", "0x1002\n")
	m.write(dir+"type", kind+"\n")
}

// process makes /proc/PID as the scripts read it.
func (m *machine) process(pid, parent int, name, state, exe string) {
	dir := fmt.Sprintf("proc/%d/", pid)
	m.write(dir+"stat", fmt.Sprintf("%d (%s) %s %d %d %d 0 -1\n", pid, name, state, parent, pid, pid))
	m.must(os.Symlink(exe, filepath.Join(m.root, dir+"exe")))
}

// dropbear makes dropbear run as process 500.
func (m *machine) dropbear() {
	m.process(500, 1, "dropbear", "S", "/usr/sbin/dropbear")
	m.write("run/dropbear.pid", "500\n")
}
