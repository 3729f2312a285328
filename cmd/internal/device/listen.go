package device

import (
	"fmt"
	"net"
)

// Listen has the device listen on its own loopback, on a port of its choice, and leads what connects there to
// us through the connection (RFC 4254, section 7.1). Nobody else reaches it, and it needs no way from the
// device to us. It ends with the client.
func (c *Client) Listen() (net.Listener, error) {
	l, err := c.ssh.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("having the device listen for us: %w", c.trueCause(c.life, err))
	}
	return l, nil
}
