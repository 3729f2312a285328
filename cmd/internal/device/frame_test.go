package device

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
)

// Whatever a login shell says before our command, the command's answer is its own.
func TestNoise(t *testing.T) {
	s := startServer(t)
	for about, before := range map[string]string{
		"none":                      "",
		"an echo in .bashrc":        "echo hi; ",
		"without a line's end":      "printf hi; ",
		"on standard error":         "echo hi >&2; ",
		"an old message of a day":   "for i in 1 2 3 4 5 6 7 8; do echo '  Welcome to Debian  *** '$i; done; ",
		"much":                      "head -c 60000 /dev/zero | tr '\\0' x; ",
		"much on standard error":    "head -c 600000 /dev/zero >&2; ",
		"what looks like an answer": "echo 0; echo done; ",
		"the commands themselves":   "set -v -x\n",
	} {
		s.before.Store(&before)
		c := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
		r, err := c.Run(t.Context(), "cat; echo oh no >&2; exit 7", strings.NewReader("in"))
		if err != nil || string(r.Stdout) != "in" || r.Exit != 7 || about != "the commands themselves" && string(r.Stderr) != "oh no\n" {
			t.Errorf("%s: %q, %.100q, %d, %v", about, r.Stdout, r.Stderr, r.Exit, err)
		}
		r, err = c.Script(t.Context(), `printf '%s|' "$1"; cat`, strings.NewReader("rest"), "word")
		if err != nil || string(r.Stdout) != "word|rest" {
			t.Errorf("%s, a program: %q, %v", about, r.Stdout, err)
		}
		p := judge.Value(c.Start(t.Context(), "read line; echo got $line; echo bad >&2"))(t)
		io.WriteString(p.Stdin, "it\n")
		out, _ := io.ReadAll(p.Stdout)
		if exit, err := p.Wait(); string(out) != "got it\n" || exit != 0 || err != nil || about != "the commands themselves" && p.Stderr() != "bad\n" {
			t.Errorf("%s, a process: %q, %q, %d, %v", about, out, p.Stderr(), exit, err)
		}
		c.Close()
	}
}

// A shell that does not run our commands is named, with what it says.
func TestNoShell(t *testing.T) {
	s := startServer(t)
	for about, c := range map[string]struct{ before, said string }{
		"no login":          {"echo This account is currently not available.; exit 1; ", "exit 1, and it says: This account is currently not available."},
		"another command":   {"exec echo backup tool, usage:; ", "exit 0, and it says: backup tool, usage:"},
		"on stderr":         {"echo 'sudo: a password is required' >&2; exit 1; ", "sudo: a password is required"},
		"without a word":    {"exit 3; ", "exit 3"},
		"does not stop":     {"cat /dev/zero; ", "more than 65536 bytes before it begins"},
		"ended by a signal": {"kill -TERM $$; ", "exit"},
	} {
		s.before.Store(&c.before)
		o := s.good()
		client, err := Dial(t.Context(), s.target(), o)
		if err != nil {
			t.Fatal(err)
		}
		err = within(t, about, func() error { _, err := client.Run(t.Context(), "true", nil); return err })
		if err == nil || !strings.Contains(err.Error(), c.said) || about != "does not stop" && (!errors.Is(err, ErrShell) || hint.Of(err) == "") {
			t.Errorf("%s: %v", about, err)
		}
		err = within(t, about, func() error { return client.AsRoot(t.Context()) })
		if err == nil || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s, as root: %v", about, err)
		}
		client.Close()
	}
}

// A forced command around the login shell that loses how commands end, or changes what they say or are sent, is named: a refusal that ends with 0 is the opposite of one.
func TestShellChanges(t *testing.T) {
	s := startServer(t)
	for about, c := range map[string]struct{ around, said string }{
		"none":                     {"%s", ""},
		"said before":              {"echo recorded; %s", ""},
		"lost exit status":         {"%s; exit 0", "one that ends with 7 is said to have ended with 0"},
		"a pipe":                   {"%s | cat", "one that ends with 7 is said to have ended with 0"},
		"said behind":              {"%s; c=$?; echo bye; exit $c", `comes "UID\nheard\nbye\n"`},
		"no input":                 {"%s </dev/null", `comes "UID\n\n"`},
		"both outputs in one":      {"%s 2>&1", "of a number and"},
		"a terminal in between":    {"%s | sed s/$/$(printf '\r')/", "a terminal is between"},
		"a terminal, and it talks": {"echo hi; %s | sed s/$/$(printf '\r')/", "a terminal is between"},
	} {
		s.around.Store(&c.around)
		client := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
		id, err := client.AskUser(t.Context())
		said := strings.ReplaceAll(c.said, "UID", strconv.Itoa(os.Geteuid()))
		if said == "" && (err != nil || id != strconv.Itoa(os.Geteuid())) || said != "" && (!errors.Is(err, ErrShell) || !strings.Contains(err.Error(), said) || hint.Of(err) == "") {
			t.Errorf("%s: %q, %v; want %q", about, id, err, said)
		}
		client.Close()
	}
}

// With one session at a time, a command waits until the server knows that the one before it is over; a second one is refused by name.
func TestMaxSessions(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.most.Store(1)
	c := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
	defer c.Close()
	for range 20 {
		if out, err := c.Output(t.Context(), "echo here"); err != nil || out != "here\n" {
			t.Fatalf("%q, %v", out, err)
		}
	}
	p := judge.Value(c.Start(t.Context(), "cat"))(t)
	if _, err := c.Output(t.Context(), "echo here"); !errors.Is(err, ErrSessions) || hint.Of(err) == "" {
		t.Errorf("a second session: %v", err)
	}
	p.Stdin.Close()
	io.Copy(io.Discard, p.Stdout)
	if _, err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// Behind a command that ends by itself another one waits for longer than the server is waited for, and longer than a command may take to begin.
func TestMaxSessionsBehind(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.most.Store(1)
	o := s.good()
	o.LoginTimeout = 3 * time.Second
	c := judge.Value(Dial(t.Context(), s.target(), o))(t)
	defer c.Close()
	var all sync.WaitGroup
	ask := func(command string) {
		all.Go(func() {
			if out, err := c.Output(t.Context(), command); err != nil || out != "here\n" {
				t.Errorf("%s: %q, %v", command, out, err)
			}
		})
	}
	ask("sleep 6; echo here")
	judge.Until(t, "the first command", func() bool { return s.now.Load() == 1 })
	ask("echo here")
	ask("echo here")
	all.Wait()
}

// A command that nothing depends on is let go of, and the connection stays; behind another it does not try for long.
func TestPeek(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
	defer c.Close()
	said := func(most time.Duration, command string) (text string, err error) {
		err = within(t, command, func() error { b, err := c.Peek(t.Context(), most, command); text = string(b); return err })
		return text, err
	}
	if out, err := said(time.Minute, "echo here"); err != nil || out != "here\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := said(time.Minute, "echo no >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "exit 3 on the device: no") {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := said(time.Minute, "head -c 5000000 /dev/zero"); err == nil {
		t.Errorf("much: %d bytes", len(out))
	}
	if out, err := said(time.Second, "sleep 60"); !errors.Is(err, errLate) {
		t.Errorf("%q, %v", out, err)
	}
	s.most.Store(1) // the one that sleeps
	if out, err := said(time.Minute, "echo here"); !errors.Is(err, ErrSessions) {
		t.Errorf("%q, %v", out, err)
	}
	s.most.Store(2)
	if out, err := c.Output(t.Context(), "echo here"); err != nil || out != "here\n" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

// Each command has bounds, and the error says which one ended it.
func TestCommandBounds(t *testing.T) {
	for about, c := range map[string]struct {
		before, command string
		stdin           io.Reader
		said            string
	}{
		"does not begin":     {"sleep 60; ", "true", nil, "has not begun within 1s"},
		"says nothing":       {"", "sleep 60", nil, "neither said nor taken anything for 2s"},
		"takes nothing":      {"", "sleep 60", endless{}, "neither said nor taken anything for 2s"},
		"does not stop":      {"", "while :; do echo x >&2; sleep 0.1; done", nil, "is given up: it is not over after"},
		"answers too much":   {"", "cat /dev/zero", nil, "answers with more than"},
		"is alive, and slow": {"", "for i in 1 2 3 4; do sleep 1; echo $i; done", nil, ""},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			s.before.Store(&c.before)
			o := s.good()
			o.LoginTimeout, o.IdleTimeout = 30*time.Second, 2*time.Second
			if c.before != "" {
				o.LoginTimeout = time.Second
			}
			if c.said == "" {
				o.IdleTimeout = 10 * time.Second
			}
			if about == "does not stop" {
				o.IdleTimeout, o.idles = 6*time.Second, 1
			}
			client, err := Dial(t.Context(), s.target(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			err = within(t, about, func() error { _, err := client.Run(t.Context(), c.command, c.stdin); return err })
			if (err == nil) != (c.said == "") || err != nil && !strings.Contains(err.Error(), c.said) {
				t.Errorf("%v, want %q", err, c.said)
			}
		})
	}
}

func TestPatient(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := s.good()
	o.IdleTimeout = time.Second
	client := judge.Value(Dial(t.Context(), s.target(), o))(t)
	defer client.Close()
	if _, err := client.Run(Patient(t.Context(), time.Minute), "sleep 3", nil); err != nil {
		t.Error(err)
	}
}
