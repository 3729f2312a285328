package device

import (
	"net"
	"os"
	"testing"

	"groundhog/fixtures/judge"
)

// A direct line leads where SSH does, from where SSH does, and is not made where the configuration has SSH go another way or with other ciphers.
func TestDialDirect(t *testing.T) {
	s := startServer(t)
	beside := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer beside.Close()
	self := judge.Value(os.Executable())(t)
	config := s.benchConfig(t, `Host bench-behind
  ProxyJump bench-1
Host bench-proxy
  ProxyCommand env GROUNDHOG_TEST_RELAY=`+s.addr+` `+self+`
Host bench-aes
  Ciphers aes256-ctr
Host bench-both
  Ciphers aes256-ctr,chacha20-poly1305@openssh.com
Host bench-from
  BindAddress 127.0.0.3
`)
	for name, from := range map[string]string{"bench-1": "127.0.0.1", "bench-both": "127.0.0.1", "bench-from": "127.0.0.3", "bench-behind": "", "bench-proxy": "", "bench-aes": ""} {
		c, err := Dial(t.Context(), name, Options{Config: config})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn, err := c.DialDirect(t.Context(), uint16(beside.Addr().(*net.TCPAddr).Port))
		got := ""
		if err == nil {
			came := judge.Value(beside.Accept())(t)
			got, _, _ = net.SplitHostPort(came.RemoteAddr().String())
			came.Close()
			conn.Close()
		}
		if c.DirectTo().IsValid() != (from != "") {
			t.Errorf("%s: it is to be reached directly at %s", name, c.DirectTo())
		}
		if got != from {
			t.Errorf("%s: from %q, want %q: %v", name, got, from, err)
		}
		c.Close()
	}
	c := judge.Value(Dial(t.Context(), s.target(), s.good()))(t) // no configuration
	defer c.Close()
	if conn, err := c.DialDirect(t.Context(), uint16(beside.Addr().(*net.TCPAddr).Port)); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}
