package writer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"groundhog/cmd/internal/flash/direct"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/fixtures/judge"
)

// loopback is 127.0.0.1.
var loopback = direct.Address{10: 0xff, 11: 0xff, 12: 127, 15: 1}

// client is a client's end of a line to a writer.
type client struct {
	t    *testing.T
	line net.Conn
	w    *wire.Writer
	r    *wire.Reader
	end  chan error // what Serve returns
}

// newClient is a client whose disk was opened.
func newClient(t *testing.T, offers bool) *client {
	l := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	here := judge.Value(net.Dial("tcp", l.Addr().String()))(t)
	there := judge.Value(l.Accept())(t)
	c := &client{t, here, wire.NewWriter(here), wire.NewReader(here), make(chan error, 1)}
	disk := &memory{b: make([]byte, 4096)}
	go func() {
		c.end <- Serve(t.Context(), there, Config{Tool: "test", Run: t.TempDir(), Direct: offers, Open: func(string, bool) (Target, error) { return disk, nil }})
	}()
	t.Cleanup(func() { here.Close() })
	said := make(chan error, 1)
	go func() { said <- wire.SayHello(c.w, "test") }()
	judge.Value(wire.HearHello(c.r))(t)
	judge.Must(t, <-said) // before anything else is
	c.say(protocol.Open, protocol.Marshal(protocol.Job{Disk: "/dev/x", Session: "s"}))
	c.hear(protocol.Opened)
	return c
}

func (c *client) say(kind wire.Type, payload ...[]byte) {
	c.t.Helper()
	judge.Must(c.t, c.w.Write(kind, payload...))
}

// hear is the payload of the next frame but pings, which is to be of this type.
func (c *client) hear(want wire.Type) []byte {
	c.t.Helper()
	for {
		kind, payload, err := c.r.Next()
		if err != nil || kind != protocol.Ping && kind != want {
			c.t.Fatalf("a frame of type %d, not %d: %q, %v", kind, want, payload, err)
		}
		if kind == want {
			return bytes.Clone(payload)
		}
	}
}

// come makes the direct line.
func (c *client) come() (net.Conn, *direct.Writer) {
	c.t.Helper()
	key := direct.NewKey()
	c.say(protocol.DirectKey, protocol.AppendDirectKey(nil, key, loopback))
	port := judge.Value(protocol.ReadPort(c.hear(protocol.DirectPort)))(c.t)
	conn := judge.Value(net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)))(c.t)
	c.t.Cleanup(func() { conn.Close() })
	w := direct.NewWriter(conn, key)
	judge.Must(c.t, w.Show())
	c.hear(protocol.DirectUp)
	return conn, w
}

// The session goes on by the direct line to its end.
func TestDirect(t *testing.T) {
	c := newClient(t, true)
	_, w := c.come()
	judge.Must(t, c.w.TurnTo(w, protocol.DirectTurn))
	c.say(protocol.Ping)
	c.say(protocol.Finish)
	c.hear(protocol.Done)
	if err := <-c.end; err != nil {
		t.Error(err)
	}
}

// When either of its lines ends the client is gone.
func TestDirectEnds(t *testing.T) {
	for name, end := range map[string]func(line, beside net.Conn){
		"SSH's":  func(line, _ net.Conn) { line.Close() },
		"direct": func(_, beside net.Conn) { beside.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, true)
			conn, w := c.come()
			judge.Must(t, c.w.TurnTo(w, protocol.DirectTurn))
			c.say(protocol.Ping)
			go io.Copy(io.Discard, c.line)
			end(c.line, conn)
			if err := <-c.end; err == nil {
				t.Error("it ended well")
			}
		})
	}
}

// Frames that nobody who keeps to the protocol sends end the session, with a word.
func TestDirectRefuses(t *testing.T) {
	key := protocol.AppendDirectKey(nil, direct.Key{}, loopback)
	for name, say := range map[string]func(c *client){
		"a turn to nothing": func(c *client) { c.say(protocol.DirectTurn) },
		"a turn too early": func(c *client) {
			c.say(protocol.DirectKey, key)
			c.hear(protocol.DirectPort)
			c.say(protocol.DirectTurn)
		},
		"two keys": func(c *client) {
			c.say(protocol.DirectKey, key)
			c.hear(protocol.DirectPort)
			c.say(protocol.DirectKey, key)
		},
		"a short key": func(c *client) { c.say(protocol.DirectKey, key[1:]) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, true)
			say(c)
			c.hear(protocol.Failed)
			var f *protocol.Failure
			if err := <-c.end; !errors.As(err, &f) || f.Kind != protocol.KindBug {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A writer that is not to listen says so.
func TestDirectNot(t *testing.T) {
	c := newClient(t, false)
	c.say(protocol.DirectKey, protocol.AppendDirectKey(nil, direct.Key{}, loopback))
	if port, err := protocol.ReadPort(c.hear(protocol.DirectPort)); port != 0 || err != nil {
		t.Errorf("port %d, %v", port, err)
	}
	c.say(protocol.Finish)
	c.hear(protocol.Done)
}
