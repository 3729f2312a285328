package direct

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

func dial(t *testing.T, l *Listener, host string) net.Conn {
	t.Helper()
	c := judge.Value(net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(l.Port()))))(t)
	t.Cleanup(func() { c.Close() })
	return c
}

// Whoever has the key gets in, whoever else is there: those who say nothing, who say something else, who go at once. Then nobody is let in any more.
func TestAccept(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			l, k := judge.Value(Listen(netip.MustParseAddr(host).As16()))(t), NewKey()
			for range maxStrangers - 3 {
				dial(t, l, host)
			}
			io.WriteString(dial(t, l, host), "GET / HTTP/1.1\r\n\r\n")
			dial(t, l, host).Close()
			came := make(chan error, 1)
			var line *Line
			go func() {
				var err error
				line, err = l.Accept(t.Context(), k)
				came <- err
			}()
			c := dial(t, l, host)
			w := NewWriter(c, k)
			judge.Must(t, w.Show(), <-came)
			defer line.Close()
			judge.Value(w.Write([]byte("hello")))(t)
			if got, err := io.ReadAll(io.LimitReader(line, 5)); string(got) != "hello" {
				t.Errorf("%q, %v", got, err)
			}
			judge.Until(t, "nobody is let in any more", func() bool {
				late, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(l.Port())))
				if err == nil {
					late.Close()
				}
				return err != nil
			})
		})
	}
}

// Nobody comes: Accept ends with its context, and those who were waiting are let go of.
func TestAcceptEnds(t *testing.T) {
	l := judge.Value(Listen(netip.MustParseAddr("127.0.0.1").As16()))(t)
	c := dial(t, l, "127.0.0.1")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := l.Accept(ctx, NewKey()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a stranger is still connected")
	}
}

// On an address of its own alone it is listened, and on no other of the machine's.
func TestListenOn(t *testing.T) {
	l := judge.Value(Listen(netip.MustParseAddr("127.0.0.2").As16()))(t)
	defer l.Close()
	dial(t, l, "127.0.0.2")
	for _, other := range []string{"127.0.0.1", "::1"} {
		if c, err := net.Dial("tcp", net.JoinHostPort(other, fmt.Sprint(l.Port()))); err == nil { // that another program has the same port is one chance in many
			c.Close()
			t.Errorf("it is reached at %s", other)
		}
	}
	for _, not := range []string{"192.0.2.1", "2001:db8::1", "fe80::1"} {
		if l, err := Listen(netip.MustParseAddr(not).As16()); err == nil {
			l.Close()
			t.Errorf("it listens on %s", not)
		}
	}
}
