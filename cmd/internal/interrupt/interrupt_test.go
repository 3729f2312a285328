package interrupt

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

// TestMain makes this test binary a program that says what it notices, and ends by itself never.
func TestMain(m *testing.M) {
	if os.Getenv("GROUNDHOG_STUBBORN") == "" {
		os.Exit(m.Run())
	}
	ctx, _ := Context(context.Background(), func() { fmt.Println("last") })
	asking, _ := Asking(ctx, time.Hour)
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("first", asking.Err())
	<-asking.Done()
	fmt.Println("second")
	select {}
}

// Signals that come together are one interruption; of a terminal that goes away the first one is told, however much later it is told of again.
func TestCount(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		signal syscall.Signal
		after  []time.Duration // the signal before
		want   []int
	}{
		{syscall.SIGINT, []time.Duration{0, 10 * ms, 10 * ms, together, 10 * ms, together}, []int{1, 0, 0, 2, 0, 3}},
		{syscall.SIGTERM, []time.Duration{0, together - 1, 1}, []int{1, 0, 2}},
		{syscall.SIGHUP, []time.Duration{0, 10 * ms, 2 * together, time.Hour}, []int{1, 0, 0, 0}},
	} {
		var count counter
		now := time.Now()
		for i, after := range c.after {
			now = now.Add(after)
			if got := count.count(c.signal, now); got != c.want[i] {
				t.Errorf("%v %d, %s later: %d, want %d", c.signal, i+1, after, got, c.want[i])
			}
		}
	}
	var count counter
	now := time.Now()
	for i, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGHUP, syscall.SIGTERM} {
		now = now.Add(together + ms)
		if got, want := count.count(s, now), []int{1, 0, 0, 2}[i]; got != want {
			t.Errorf("%v behind others: %d, want %d", s, got, want)
		}
	}
}

// stubborn is a program that does not end by itself.
type stubborn struct {
	*testing.T
	cmd   *exec.Cmd
	lines chan string // closed at its end
}

func startStubborn(t *testing.T) *stubborn {
	p := &stubborn{t, exec.Command(os.Args[0]), make(chan string, 10)}
	p.cmd.Env = append(os.Environ(), "GROUNDHOG_STUBBORN=1")
	said := bufio.NewScanner(judge.Value(p.cmd.StdoutPipe())(t))
	judge.Must(t, p.cmd.Start())
	t.Cleanup(func() { p.cmd.Process.Kill() })
	go func() {
		defer close(p.lines)
		for said.Scan() {
			p.lines <- said.Text()
		}
	}()
	p.expect("ready", 0)
	return p
}

// expect waits for what the program says next; until then it gets a signal again and again, all of which are one interruption. 0 is no signal.
func (p *stubborn) expect(want string, s syscall.Signal) {
	p.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	late := time.After(time.Minute)
	for {
		select {
		case line := <-p.lines:
			if line != want {
				p.Fatalf("%v: it says %q, want %q", s, line, want)
			}
			return
		case <-again.C:
			if s != 0 {
				p.cmd.Process.Signal(s)
			}
		case <-late:
			p.Fatalf("%v: it does not say %q", s, want)
		}
	}
}

// endedBy waits for the program's end, which is to be a signal's.
func (p *stubborn) endedBy(want syscall.Signal) {
	p.Helper()
	if line, more := <-p.lines; more {
		p.Errorf("it says %q, too", line)
	}
	p.cmd.Wait()
	if ended := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ended.Signaled() || ended.Signal() != want {
		p.Errorf("%v: it ended by %v", want, p.cmd.ProcessState)
	}
}

// The first interruption ends the run, the second what is asked behind it, the third the program.
func TestThird(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := startStubborn(t)
		for _, want := range []string{"first <nil>", "second", "last"} {
			p.expect(want, s)
		}
		p.endedBy(s)
	}
}

// Who does not end behind the second interruption is ended, by the signal that it was.
func TestStubborn(t *testing.T) {
	for _, signals := range [][2]syscall.Signal{{syscall.SIGINT, syscall.SIGINT}, {syscall.SIGHUP, syscall.SIGTERM}} {
		t.Run(fmt.Sprint(signals), func(t *testing.T) {
			t.Parallel()
			p := startStubborn(t)
			p.expect("first <nil>", signals[0])
			p.expect("second", signals[1])
			p.expect("last", 0)
			p.endedBy(signals[1])
		})
	}
}
