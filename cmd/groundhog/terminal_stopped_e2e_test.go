//go:build e2e

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/judge"
)

// stoppable is groundhog as a job of a shell on a terminal, which Ctrl-Z stops and fg continues.
type stoppable struct {
	master io.Writer
	seen   *transcript
	over   chan struct{}
}

// startJob starts one. The shell says "left N" when the job is no longer in front, waits for a line, and says "ended N" behind fg.
func (d *desk) startJob(args ...string) *stoppable {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	program := filepath.Join(d.t.TempDir(), "groundhog") // as which it is what the test's program becomes
	judge.Must(d.t, os.Symlink(self, program))
	cmd := exec.CommandContext(d.t.Context(), judge.Tool(d.t, "sh"), append([]string{"-c", `set -m; "$@"; echo "left $?"; read -r line; fg %1 >/dev/null; echo "ended $?"`, "sh", program}, args...)...)
	master, err := pty.StartWithSize(cmd, &d.window)
	if err != nil {
		d.t.Fatal(err)
	}
	j := &stoppable{master: master, seen: follow(master), over: make(chan struct{})}
	go func() { cmd.Wait(); close(j.over) }()
	d.t.Cleanup(func() { master.Close(); <-j.over })
	return j
}

// awaitDevice waits until the device is where it is to be stopped.
func (j *stoppable) awaitDevice(t *testing.T, reached <-chan struct{}) {
	t.Helper()
	select {
	case <-reached:
	case <-j.seen.end:
		t.Fatalf("it did not come so far: %q", j.seen)
	}
}

// stop types Ctrl-Z, and returns when the shell has the terminal again.
func (j *stoppable) stop(t *testing.T) {
	t.Helper()
	io.WriteString(j.master, "\x1a")
	j.seen.await(t, "left 148") // 128 + SIGTSTP
}

// goOn types what the shell waits for, and returns what was seen behind it when all is over.
func (j *stoppable) goOn(t *testing.T) (before, behind string) {
	t.Helper()
	io.WriteString(j.master, "on\n")
	j.seen.await(t, "ended ")
	<-j.over
	<-j.seen.end
	before, behind, _ = strings.Cut(j.seen.String(), "left 148")
	return before, behind
}

// gatedDisk has its first write wait.
type gatedDisk struct {
	writer.Target
	reached func()
	open    <-chan struct{}
}

func (g *gatedDisk) WriteAt(b []byte, off int64) (int, error) {
	g.reached()
	<-g.open
	return g.Target.WriteAt(b, off)
}

// gate makes a device whose disk takes no write before open is closed; reached is closed when the first one is there.
func (d *desk) gate() (reached, open chan struct{}) {
	reached, open = make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(reached) })
	d.OpenDisk(func(_ string, write bool) (writer.Target, error) {
		disk, err := writer.Open(d.DiskFile(), write)
		return &gatedDisk{disk, once, open}, err
	})
	return reached, open
}

// Ctrl-Z in the middle of a flash, and fg. The bar is drawn on and nothing of it is left, and the flash ends well: also where it was
// stopped for longer than the device's writer bears. That lets go of the disk then, and so of the lease, and what says that its disk is neither old
// nor new keeps the device waiting.
func TestTerminalStopped(t *testing.T) {
	for about, long := range map[string]bool{"shortly": false, "for longer than the lease": true} {
		t.Run(about, func(t *testing.T) {
			d := newDesk(t)
			d.Wait("b1")
			const silent = 12 * time.Second // twice the time between two pings of the client, and more
			d.Patience(silent)
			reached, open := d.gate()
			j := d.startJob(d.args("flash")...)
			j.awaitDevice(t, reached)
			j.stop(t)
			close(open)
			if long {
				judge.Until(t, "the writer lets go of the disk", func() bool {
					s, _, err := writer.StateOf(d.Run(), devicetest.DiskPath, 0)
					if err == nil && s != writer.StateWriting {
						t.Errorf("the disk is %s", s)
					}
					return err == nil
				})
			}
			if !d.Now().Writing {
				t.Error("nothing keeps the device waiting")
			}
			before, behind := j.goOn(t)
			if !strings.Contains(behind, "ended 0") || !strings.Contains(flat(behind), "verified: "+devicetest.DiskPath+" has ") {
				t.Errorf("before %q, and behind it %q", before, behind)
			}
			if bar := strings.LastIndex(behind, "] "); bar >= 0 && strings.LastIndex(behind, "\x1b[J") < bar {
				t.Errorf("of the bar something is left: %q", behind)
			}
			if d.Now().Writing {
				t.Error("the device still says that its disk is neither old nor new")
			}
		})
	}
}

// A device that went on to boot its old system while groundhog was stopped, before anything was written to its disk, is told so.
func TestTerminalStoppedTooLong(t *testing.T) {
	d := newDesk(t)
	d.Wait("b1")
	reached, open := make(chan struct{}), make(chan struct{})
	d.Once("groundhog-writer version", func(*devicetest.Command) int { close(reached); <-open; return devicetest.Pass })
	j := d.startJob(d.args("flash")...)
	j.awaitDevice(t, reached)
	j.stop(t)
	d.Reboot()
	close(open)
	_, behind := j.goOn(t)
	if !strings.Contains(flat(behind), "nothing was changed") || strings.Contains(behind, "ended 0") || d.Now().Writing {
		t.Errorf("%q", behind)
	}
}
