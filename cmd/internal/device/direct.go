package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// chacha20Poly1305 is the cipher of a line that a flash makes beside SSH (package direct), by the name that SSH has for it.
const chacha20Poly1305 = "chacha20-poly1305@openssh.com"

// DirectTo is the address that the SSH connection goes to, for [Client.DialDirect]. It is not valid where there is a program or a jump host between, or a
// configuration that has no chacha20-poly1305: whoever wants another cipher for SSH does not want this one beside it.
func (c *Client) DirectTo() netip.Addr {
	if !c.direct {
		return netip.Addr{}
	}
	return c.conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
}

// DialDirect connects to a port of the device, from the address to the address that the SSH connection has.
func (c *Client) DialDirect(ctx context.Context, port uint16) (net.Conn, error) {
	to := c.DirectTo()
	if !to.IsValid() {
		return nil, errors.New("no direct line: ssh's configuration leads another way, or has other ciphers")
	}
	from := *c.conn.LocalAddr().(*net.TCPAddr)
	from.Port = 0
	d := net.Dialer{Timeout: c.options.ConnectTimeout, LocalAddr: &from, Control: keepUnsentLow}
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(to, port).String())
	if err != nil {
		return nil, fmt.Errorf("direct line: %w", err)
	}
	return conn, nil
}

// maxUnsent is how many bytes the kernel takes that it has not sent yet. What it takes is not heard of any more: chunks would be compressed as for a line
// that is as fast as memory, and what is asked of the device would wait behind megabytes. What is on its way does not count, so a long line is full.
const maxUnsent = 256 << 10

// keepUnsentLow sets that bound for a connection (tcp(7), TCP_NOTSENT_LOWAT). Where that is not to be had the line is made all the same.
func keepUnsentLow(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent) })
}
