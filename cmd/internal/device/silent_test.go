package device

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
)

// endless is more than any window.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// linked is a client whose link can be spoilt.
func linked(t *testing.T, silence time.Duration) (*Client, *link.Link) {
	t.Helper()
	s := startServer(t)
	l := judge.Value(link.New(s.addr))(t)
	t.Cleanup(l.Close)
	o := s.good()
	o.KnownHosts = []string{write(t, s.path("known_link"), "* "+s.read(t, "host.pub"))}
	o.Keepalive, o.Silence = silence/10, silence
	c := judge.Value(Dial(t.Context(), "bench@"+l.Addr(), o))(t)
	t.Cleanup(func() { c.Close() })
	return c, l
}

// within fails the test instead of hanging it.
func within(t *testing.T, what string, do func() error) error {
	t.Helper()
	const limit = 2 * time.Minute // what does not end by itself does not end at all; a loaded machine takes its time
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		t.Fatalf("%s: not within %s", what, limit)
		return nil
	}
}

// However an upload ends too early, it ends, and its error says why.
func TestUploadEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("the file's disk is broken")
	for about, c := range map[string]struct {
		command string
		stdin   io.Reader
		during  func(*link.Link, *Client, context.CancelFunc)
		is      error
		said    string
	}{
		"link cut":       {"sleep 60", endless{}, func(l *link.Link, _ *Client, _ context.CancelFunc) { l.Cut() }, ErrSilent, ""},
		"link reset":     {"sleep 60", endless{}, func(l *link.Link, _ *Client, _ context.CancelFunc) { l.Reset() }, nil, "connection"},
		"cancelled":      {"sleep 60", endless{}, func(_ *link.Link, _ *Client, cancel context.CancelFunc) { cancel() }, context.Canceled, ""},
		"closed":         {"sleep 60", endless{}, func(_ *link.Link, c *Client, _ context.CancelFunc) { c.Close() }, nil, "connection"},
		"device fails":   {"head -c 100000 >/dev/null; echo no room >&2; exit 3", endless{}, nil, nil, "exit 3 on the device: no room"},
		"device is done": {"head -c 100000 >/dev/null", endless{}, nil, nil, "before it had read everything"},
		"source fails":   {"cat >/dev/null", io.MultiReader(strings.NewReader("some"), &failing{broken}), nil, broken, "reading what is sent"},
		"both fail":      {"cat >/dev/null; echo too short >&2; exit 1", io.MultiReader(strings.NewReader("some"), &failing{broken}), nil, broken, ""},
	} {
		t.Run(about, func(t *testing.T) {
			client, l := linked(t, time.Second)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			in := &telling{Reader: c.stdin, much: make(chan struct{})}
			if c.during != nil {
				go func() { <-in.much; c.during(l, client, cancel) }()
			}
			err := within(t, "the end", func() error { return client.Upload(ctx, c.command, in) })
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.said) {
				t.Errorf("%v, want %v with %q", err, c.is, c.said)
			}
		})
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// telling says when a mebibyte has been read.
type telling struct {
	io.Reader
	n    int
	much chan struct{}
}

func (r *telling) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if before := r.n; before < 1<<20 && before+n >= 1<<20 {
		close(r.much)
	}
	r.n += n
	return n, err
}

// A device that is only slow, or idle, is not taken for a silent one.
func TestNotSilent(t *testing.T) {
	t.Parallel()
	c, l := linked(t, 4*time.Second)
	if _, err := c.Output(t.Context(), "sleep 6"); err != nil {
		t.Errorf("idle: %v", err)
	}
	l.Shape(link.Shape{Rate: 256 << 10, Delay: 200 * time.Millisecond})
	r, err := c.Run(t.Context(), "wc -c", io.LimitReader(endless{}, 1<<20))
	if err != nil || strings.TrimSpace(string(r.Stdout)) != "1048576" {
		t.Errorf("slow: %q, %v", r.Stdout, err)
	}
}

// A command that was started is told about the silence, too.
func TestProcessSilent(t *testing.T) {
	t.Parallel()
	c, l := linked(t, time.Second)
	p, err := c.Start(t.Context(), "echo here; exec cat")
	if err != nil {
		t.Fatal(err)
	}
	judge.Value(io.ReadFull(p.Stdout, make([]byte, 5)))(t)
	l.Cut()
	err = within(t, "a write", func() error { _, err := io.Copy(p.Stdin, endless{}); return err })
	if cause := p.Cause(err); !errors.Is(cause, ErrSilent) {
		t.Errorf("the write: %v because of %v", err, cause)
	}
	err = within(t, "the end", func() error {
		io.Copy(io.Discard, p.Stdout)
		_, err := p.Wait()
		return err
	})
	if !errors.Is(err, ErrSilent) {
		t.Errorf("the end: %v", err)
	}
}

// Peers that are no SSH server, or a very slow one, are given up in time.
func TestDialStrangePeers(t *testing.T) {
	t.Parallel()
	for about, talk := range map[string]func(net.Conn){
		"says nothing": func(net.Conn) {},
		"is slow": func(c net.Conn) {
			for range 1000 {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		},
		"talks for ever": func(c net.Conn) { io.Copy(c, endless{}) },
		"hangs up":       func(c net.Conn) { c.Close() },
		"is a web site":  func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); c.Close() },
	} {
		t.Run(about, func(t *testing.T) {
			s := startServer(t)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				talk(c)
				io.Copy(io.Discard, c)
				c.Close()
			}()
			o := s.good()
			o.KnownHosts = []string{write(t, s.path("known_any"), "* "+s.read(t, "host.pub"))}
			o.ConnectTimeout, o.LoginTimeout = time.Second, time.Second
			err = within(t, "the end", func() error {
				c, err := Dial(t.Context(), "bench@"+listener.Addr().String(), o)
				if c != nil {
					c.Close()
				}
				return err
			})
			if err == nil || errors.Is(err, ErrHostKey) || errors.Is(err, ErrAuth) {
				t.Error(err)
			}
		})
	}
}
