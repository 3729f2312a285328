package scripts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for something that must happen; nothing that passes comes near it.
const patience = 30 * time.Second

// A run is a started shell; its output is everything that it and its children said.
type run struct {
	m    *machine
	cmd  *exec.Cmd
	out  string
	done chan error
}

func (m *machine) start(script string, env ...string) *run {
	m.t.Helper()
	out, err := os.CreateTemp(m.t.TempDir(), "out")
	m.must(err)
	defer out.Close()
	r := &run{m: m, cmd: exec.Command(m.bin+"/sh", "-c", script), out: out.Name(), done: make(chan error, 1)}
	r.cmd.Env = append([]string{"PATH=" + m.bin, "groundhog_root=" + m.root}, env...)
	r.cmd.Dir = m.root
	r.cmd.Stdout, r.cmd.Stderr = out, out
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	m.must(r.cmd.Start())
	go func() { r.done <- r.cmd.Wait() }()
	m.t.Cleanup(func() { syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) })
	return r
}

// run runs a script to its end and gives what it said.
func (m *machine) run(script string, env ...string) string {
	m.t.Helper()
	r := m.start(script, env...)
	r.ends(0)
	return r.said()
}

func (r *run) said() string { b, _ := os.ReadFile(r.out); return string(b) }

// ends waits for the end of the run and checks its exit status.
func (r *run) ends(status int) {
	r.m.t.Helper()
	select {
	case err := <-r.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if exit.ExitCode() == status {
				return
			}
		} else if err == nil && status == 0 {
			return
		}
		r.m.t.Fatalf("ended with %v, want status %d:\n%s", err, status, r.said())
	case <-time.After(patience):
		r.m.t.Fatalf("did not end:\n%s", r.said())
	}
}

func (r *run) ended() bool { return len(r.done) > 0 }

// sees waits until the run has said text n times, and fails if it ends before.
func (r *run) sees(text string, n int) {
	r.m.t.Helper()
	r.m.eventually(fmt.Sprintf("%d times %q", n, text), r, func() bool { return strings.Count(r.said(), text) >= n })
}

// eventually polls for what must come true while r runs.
func (m *machine) eventually(what string, r *run, ok func() bool) {
	m.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ended := r.ended() // before ok: the last words count
		if ok() {
			return
		}
		if ended || time.Now().After(end) {
			m.t.Fatalf("never: %s (ended: %v):\n%s", what, ended, r.said())
		}
	}
}

// pid reads a file that holds a process id; 0 while there is none.
func (m *machine) pid(path string) int {
	n, _ := strconv.Atoi(strings.TrimSpace(m.read(path)))
	return n
}

func alive(pid int) bool { return pid > 0 && syscall.Kill(pid, 0) == nil }
