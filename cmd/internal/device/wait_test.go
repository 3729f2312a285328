package device

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
)

// A device that reboots into its initramfs: another server with another key at the same address.
func TestWaitInitramfs(t *testing.T) {
	t.Parallel()
	system, wait := startServer(t).fake(t), startServer(t).fake(t)
	system.boot(t, boot1)
	wait.boot(t, boot1)
	wait.put(t, "run/groundhog/build", "a-build\n")
	write(t, wait.path("authorized"), system.read(t, "login.pub"))
	l := judge.Value(link.New(system.addr))(t)
	defer l.Close()
	o := system.good().Initramfs([]ssh.PublicKey{publicKey(t, wait.read(t, "host.pub"))})
	o.ConnectTimeout = 5 * time.Second
	// What it waits for leads to the next step. On a loaded machine it may see a state more often, or a late answer between.
	steps := []struct {
		want string
		then func()
	}{
		{"waiting for the initramfs", func() {}},
		{"host key refused", func() { l.Lead("127.0.0.1:1") }}, // down
		{"", func() { l.Cut(); l.Lead(wait.addr) }},            // up, but silent
		{"no answer within 5s", l.Heal},
		{"not rebooted yet", func() { wait.boot(t, boot2) }},
		{"a system answers", func() { wait.put(t, "scripts/groundhog/", "") }},
	}
	var said, down []string
	at := 0
	c, state, err := WaitInitramfs(t.Context(), "bench@"+l.Addr(), o, Wait{Before: boot1, Timeout: 5 * time.Minute, Down: func(time.Time) { down = slices.Clone(said) }, Say: func(text string) {
		said = append(said, text)
		if at < len(steps) && strings.Contains(text, steps[at].want) {
			at++
			steps[at-1].then()
		}
	}})
	if err != nil || state != (State{boot2, true, "a-build"}) || c.Target.User != "root" {
		t.Fatalf("%+v, %v; said %q", state, err, said)
	}
	defer c.Close()
	if len(down) != 2 || !strings.Contains(down[1], "host key refused") { // the old system's answer is the last before it is down
		t.Errorf("it is down after %q", down)
	}
	if at < len(steps) {
		t.Errorf("it never said %q: %q", steps[at].want, said)
	}
	if out, err := c.Output(t.Context(), "echo still here"); err != nil {
		t.Errorf("after the wait: %q, %v", out, err)
	}
}

// A device that vanishes is down from when the try began that nobody answered, and not from when that ended: this one ends with the
// answer of what came up behind it.
func TestWaitDown(t *testing.T) {
	f := startServer(t).fake(t)
	f.boot(t, boot2)
	f.put(t, "scripts/groundhog/", "")
	l := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	came := make(chan time.Time, 1)
	go func() { // who tries to connect is let in by then
		c, err := l.Accept()
		if err != nil {
			return
		}
		came <- time.Now()
		up, err := net.Dial("tcp", f.addr)
		if err != nil {
			c.Close()
			return
		}
		go io.Copy(up, c)
		io.Copy(c, up)
	}()
	var down time.Time
	o := f.good().Initramfs([]ssh.PublicKey{publicKey(t, f.read(t, "host.pub"))})
	c, _, err := WaitInitramfs(t.Context(), "bench@"+l.Addr().String(), o, Wait{Before: boot1, Down: func(at time.Time) { down = at }})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if tried := <-came; down.IsZero() || down.After(tried) {
		t.Errorf("it tried at %v, and was down from %v on", tried, down)
	}
}

// No wait lasts longer than it may, or than it can help.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	f := startServer(t).fake(t)
	f.boot(t, boot1)
	key := publicKey(t, f.read(t, "host.pub"))
	initramfs := f.good().Initramfs([]ssh.PublicKey{key})
	with := func(o Options, change func(*Options)) Options { change(&o); return o }
	for about, c := range map[string]struct {
		o       Options
		target  string
		timeout time.Duration
		is      error
		said    string
	}{
		"in time":          {initramfs, f.target(), 5 * time.Second, ErrTimeout, "it has not rebooted yet"},
		"nobody there":     {initramfs, "bench@127.0.0.1:1", 2 * time.Second, ErrTimeout, "connection refused"},
		"not let in":       {with(initramfs, func(o *Options) { o.Identities = []string{f.path("other")} }), f.target(), time.Hour, ErrAuth, "SHA256:"},
		"no such identity": {with(initramfs, func(o *Options) { o.Identities = []string{f.path("none")} }), f.target(), time.Hour, os.ErrNotExist, "identity"},
		"no promised key":  {with(initramfs, func(o *Options) { o.Keys = []ssh.PublicKey{} }), f.target(), time.Hour, ErrHostKey, "promised"},
		"no target":        {initramfs, "a b", time.Hour, nil, "target"},
	} {
		err := within(t, about, func() error {
			_, _, err := WaitInitramfs(t.Context(), c.target, c.o, Wait{Before: boot1, Timeout: c.timeout})
			return err
		})
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %v, want %v with %q", about, err, c.is, c.said)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := within(t, "cancelled", func() error {
		_, _, err := WaitInitramfs(ctx, f.target(), initramfs, Wait{Before: boot1, Timeout: time.Hour, Say: func(text string) {
			if strings.Contains(text, "not rebooted") {
				cancel()
			}
		}})
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// What was waited for is said at the end, and not that the last try was cut off by it.
func TestWaitSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	f := startServer(t).fake(t)
	f.boot(t, boot2)
	tries := 0
	_, _, err := Wait{Timeout: 5 * time.Second}.dialUntil(t.Context(), f.target(), f.good(), "it", func(ctx context.Context, _ *Client, _ State) error {
		if tries++; tries == 1 {
			return errSameBoot
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, errSameBoot) {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

// A system counts when it is another boot, no initramfs, and has put the original back; keys may come late.
func TestWaitSystem(t *testing.T) {
	t.Parallel()
	f := startServer(t).fake(t)
	f.boot(t, boot1)
	f.put(t, "scripts/groundhog/", "")
	write(t, f.path("authorized"), f.read(t, "other.pub"))
	o := f.good()
	o.Keys = []ssh.PublicKey{publicKey(t, f.read(t, "host.pub"))}
	var said []string
	c, state, err := WaitSystem(t.Context(), f.target(), o, Wait{Before: boot1, Timeout: time.Minute, Say: func(text string) {
		said = append(said, text)
		switch len(said) {
		case 2: // not let in
			write(t, f.path("authorized"), f.read(t, "login.pub"))
		case 3: // the same boot
			f.boot(t, boot2)
		case 4: // the initramfs
			if err := os.Remove(f.root + "/scripts/groundhog"); err != nil {
				t.Error(err)
			}
			f.put(t, "systemctl", "ActiveState=inactive\nJob=123\n")
		case 5: // queued
			f.put(t, "systemctl", "ActiveState=active\nJob=\n")
		}
	}})
	if err != nil || state != (State{boot2, false, ""}) {
		t.Fatalf("%+v, %v; said %q", state, err, said)
	}
	c.Close()
	for i, want := range []string{"waiting for the system", ErrAuth.Error(), "not rebooted yet", "the initramfs still waits", "being put back"} {
		if i >= len(said) || !strings.Contains(said[i], want) {
			t.Errorf("step %d: said %q, want %q", i, said, want)
		}
	}
	for shown, want := range map[string]bool{
		"": false, "ActiveState=inactive\nJob=\n": false, "ActiveState=active\nJob=0\n": false, "ActiveState=failed\n": false, "Job=\nActiveState=activating\n": true,
		"ActiveState=inactive\nJob=7\n": true, "ActiveState=deactivating\n": true, "rubbish": false,
	} {
		if got := isRestoring(shown); got != want {
			t.Errorf("%q: %v, want %v", shown, got, want)
		}
	}
}
