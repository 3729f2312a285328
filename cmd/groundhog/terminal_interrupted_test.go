package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/judge"
)

// stuckFlash is a flash that was interrupted by a signal while the device wrote, and that asks in vain what became of the disk.
func stuckFlash(t *testing.T, first func(*os.Process)) (p *os.Process, seen *transcript, end func() (code int, took time.Duration)) {
	t.Helper()
	d := newDesk(t)
	d.Wait("b1")
	serving, asked, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over) })
	d.OpenDisk(func(_ string, write bool) (writer.Target, error) {
		disk, err := writer.Open(d.DiskFile(), write)
		return &stuckDisk{Target: disk, reached: sync.OnceFunc(func() { close(serving) }), over: over}, err
	})
	d.Once("groundhog-writer state", func(*devicetest.Command) int { close(asked); <-over; return devicetest.Gone })
	cmd, seen := d.start(t.Context(), nil, d.args("flash")...)
	reach := func(c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-seen.end:
			cmd.Wait()
			t.Fatalf("it has ended, %v: %q", cmd.ProcessState, seen)
		case <-time.After(time.Minute):
			t.Fatalf("it did not come so far: %q", seen)
		}
	}
	reach(serving)
	first(cmd.Process)
	reach(asked)
	began := time.Now()
	return cmd.Process, seen, func() (int, time.Duration) {
		t.Helper()
		select {
		case <-seen.end:
		case <-time.After(time.Minute):
			t.Errorf("it does not end: %q", seen)
			cmd.Process.Kill()
		}
		cmd.Wait()
		return cmd.ProcessState.ExitCode(), time.Since(began)
	}
}

// stuckDisk is a disk that does not come to an end with what is written to it.
type stuckDisk struct {
	writer.Target
	reached func()
	over    <-chan struct{}
}

func (d *stuckDisk) WriteAt(p []byte, off int64) (int, error) {
	d.reached()
	<-d.over
	return d.Target.WriteAt(p, off)
}

// insist sends a signal again and again, until the program has told its verdict.
func insist(p *os.Process, s os.Signal, seen *transcript) {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for !strings.Contains(seen.String(), "may be neither") && p.Signal(s) == nil {
		select {
		case <-again.C:
		case <-seen.end:
			return
		}
	}
}

// awaitTaken waits until a signal that was sent has reached the program: two of one kind that are on their way are one (signal(7)).
func awaitTaken(t *testing.T, p *os.Process, s syscall.Signal) {
	t.Helper()
	judge.Until(t, fmt.Sprint(s, " is taken"), func() bool {
		_, rest, _ := strings.Cut(string(judge.ReadFile(t, fmt.Sprintf("/proc/%d/status", p.Pid))), "ShdPnd:")
		pending := judge.Value(strconv.ParseUint(strings.Fields(rest)[0], 16, 64))(t)
		return pending&(1<<(s-1)) == 0
	})
}

// Who interrupts a run twice does not want to wait for what the device has to say: the verdict is what is known without.
func TestTerminalInterruptedTwice(t *testing.T) {
	p, seen, end := stuckFlash(t, func(p *os.Process) { p.Signal(os.Interrupt) })
	go insist(p, os.Interrupt, seen) // until it is taken for another one than the first
	code, took := end()
	terminalCase{code: exitInterrupted, says: []string{"interrupted", "may be neither the old nor the new one"}}.judge(t, code, seen.String())
	if took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// timeout(1) sends its signal to the process and to its group, and a terminal that goes away is told of by the kernel and by the shell: that is one
// interruption, after which the run ends in order.
func TestTerminalInterruptedByTwoSignals(t *testing.T) {
	for about, s := range map[string]syscall.Signal{"timeout": syscall.SIGTERM, "hangup": syscall.SIGHUP} {
		t.Run(about, func(t *testing.T) {
			p, seen, end := stuckFlash(t, func(p *os.Process) {
				for range 2 {
					judge.Must(t, p.Signal(s))
					awaitTaken(t, p, s)
				}
			})
			if about == "hangup" { // however much later
				go insist(p, s, seen)
			}
			code, _ := end()
			terminalCase{code: exitInterrupted, says: []string{"interrupted", "may be neither the old nor the new one"}}.judge(t, code, seen.String())
		})
	}
}

// Ctrl-C where a passphrase is asked for, once or again and again: the terminal has its echo back, whoever ended the run.
func TestTerminalInterruptedAsking(t *testing.T) {
	for _, times := range []int{1, 30} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			d := newDesk(t)
			d.Wait("b1")
			key := filepath.Join(t.TempDir(), "key")
			judge.WriteFile(t, key, judge.ReadFile(t, d.Path("login")))
			judge.Must(t, os.Chmod(key, 0o600))
			judge.Run(t, exec.Command(judge.Tool(t, "ssh-keygen"), "-q", "-p", "-P", "", "-N", "secret", "-f", key))
			cmd := exec.CommandContext(t.Context(), judge.Value(os.Executable())(t), "flash", "--ssh-config", "none", "--identity", key, "--known-hosts", d.Path("known_hosts"), d.Target(), d.image)
			cmd.Args[0] = "groundhog"
			master, tty, err := pty.Open()
			judge.Must(t, err)
			defer master.Close()
			defer tty.Close() // it stays, as a shell has it
			cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = tty, tty, tty, &syscall.SysProcAttr{Setsid: true, Setctty: true}
			echoes := func() bool {
				return judge.Value(unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS))(t).Lflag&unix.ECHO != 0
			}
			judge.Must(t, cmd.Start())
			seen := follow(master)
			seen.await(t, "passphrase")
			judge.Until(t, "echo is off", func() bool { return !echoes() })
			over := make(chan struct{})
			go func() {
				for range times {
					master.Write([]byte{3})
					select {
					case <-time.After(100 * time.Millisecond):
					case <-over:
						return
					}
				}
			}()
			cmd.Wait()
			close(over)
			seen.await(t, "interrupted")
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !echoes() {
				t.Errorf("exit %d, the terminal echoes: %t: %q", code, echoes(), seen)
			}
		})
	}
}
