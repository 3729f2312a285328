package device

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"groundhog/cmd/internal/since"
)

// loginClock is the clock of a login: each part of it has a bound of its own, and the error says which part it was.
type loginClock struct {
	mu    sync.Mutex
	timer *time.Timer
	fail  func(error) // called when a part takes too long
}

// beginPart begins a part, and ends the one before it.
func (s *loginClock) beginPart(what string, limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(limit, func() { s.fail(unreachable(fmt.Errorf("no answer within %s: %s", limit, what))) })
}

// stopClock stops the clock.
func (s *loginClock) stopClock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
}

// maxLogin bounds what a server may say before we are logged in, in bytes: a key exchange and an authentication take
// some 10 KB; a banner can be long.
const maxLogin = 1 << 20

// heardConn remembers when it last heard something, and bounds what it hears before the login.
type heardConn struct {
	net.Conn
	stage  *loginClock
	first  func()       // called once, when the server has said its first word
	said   int64        // bytes before the login
	inside atomic.Bool  // we are logged in
	heard  since.Moment // never noted before the first word
}

func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	if c.heard.Note() && c.first != nil {
		c.first()
	}
	if !c.inside.Load() {
		if c.said += int64(n); c.said > maxLogin {
			return 0, fmt.Errorf("the server says more than %d bytes before it lets us in", maxLogin)
		}
	}
	return n, err
}
