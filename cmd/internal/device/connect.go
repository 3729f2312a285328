package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"groundhog/cmd/internal/hint"
)

// maxJumps bounds a chain of ProxyJump, which may lead back to itself.
const maxJumps = 8

var errLoop = fmt.Errorf("more than %d jump hosts: ProxyJump seems to lead back to itself", maxJumps)

// openConnection makes the connection that SSH runs over: directly, by a program, or from a jump host, whose client is returned, too.
func (s *sshSettings) openConnection(ctx context.Context, o Options, depth int) (*Client, net.Conn, error) {
	switch {
	case s.jump != "":
		return s.jumpTo(ctx, o, depth)
	case s.proxy != "":
		conn, err := startProgram(s.proxy)
		return nil, conn, err
	}
	conn, err := s.dialTCP(ctx, o)
	return nil, conn, err
}

// dialTCP is a TCP connection.
func (s *sshSettings) dialTCP(ctx context.Context, o Options) (net.Conn, error) {
	d := net.Dialer{Timeout: o.ConnectTimeout}
	if s.bind != "" {
		from, err := net.ResolveTCPAddr(s.network, net.JoinHostPort(s.bind, "0"))
		if err != nil {
			return nil, fmt.Errorf("BindAddress: %w", err)
		}
		d.LocalAddr = from
	}
	conn, err := d.DialContext(ctx, s.network, net.JoinHostPort(s.Host, s.Port))
	if err != nil {
		return nil, unreachableError{err}
	}
	return conn, nil
}

// jumpTo logs in to the last of the jump hosts, by way of those before it, and connects from there.
func (s *sshSettings) jumpTo(ctx context.Context, o Options, depth int) (*Client, net.Conn, error) {
	if depth >= maxJumps {
		return nil, nil, hint.To(errLoop, "ssh_config(5): \"ProxyJump none\" for the jump host itself, before Host *")
	}
	before, last := "", s.jump
	if i := strings.LastIndexByte(s.jump, ','); i >= 0 {
		before, last = s.jump[:i], s.jump[i+1:]
	}
	hop := o.forHop()
	j, err := resolveTarget(ctx, last, hop)
	if err != nil {
		return nil, nil, fmt.Errorf("jump host: %w", err)
	}
	if before != "" {
		j.jump = before
	}
	via, err := j.dialTarget(ctx, hop, depth+1)
	if errors.Is(err, errLoop) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("jump host: %w", err)
	}
	limit, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
	defer cancel()
	conn, err := via.ssh.DialContext(limit, "tcp", net.JoinHostPort(s.Host, s.Port))
	if err != nil {
		via.Close()
		return nil, nil, unreachableError{fmt.Errorf("from jump host %s: %w", j.Target, err)}
	}
	return via, conn, nil
}
