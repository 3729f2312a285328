package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

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

// attemptPause is the pause between two attempts to connect (ssh_config(5), ConnectionAttempts).
const attemptPause = time.Second

// dialTCP is a TCP connection. Who waits for a device tries by himself, and knows best for how long.
func (s *sshSettings) dialTCP(ctx context.Context, o Options) (net.Conn, error) {
	for try := 1; ; try++ {
		conn, err := s.dialOnce(ctx, o)
		if err == nil || o.waits || try >= s.attempts || !errors.Is(err, ErrUnreachable) || ctx.Err() != nil {
			return conn, err
		}
		pause := time.NewTimer(attemptPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, ctx.Err()
		}
	}
}

// checkZone says what is wrong with the zone of a link's address (fe80::1%eth0): the system says no more than "invalid argument".
func (s *sshSettings) checkZone() error {
	ip, err := netip.ParseAddr(s.Host)
	if err != nil || !ip.Is6() || !ip.IsLinkLocalUnicast() {
		return nil
	}
	if ip.Zone() == "" {
		return hint.To(fmt.Errorf("%s is an address of one link, and does not say of which", s.Host), "the interface stands behind it: "+s.Host+"%eth0")
	}
	if _, err := strconv.Atoi(ip.Zone()); err == nil { // a number, which ip(8) shows before each name
		return nil
	}
	if _, err := interfaceNamed(ip.Zone()); err != nil {
		return fmt.Errorf("%s: %w", s.Host, err)
	}
	return nil
}

// interfaceNamed is an interface of this machine. One that is not there may still come, as that of a device on USB does.
func interfaceNamed(name string) (*net.Interface, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, unreachable(fmt.Errorf("this machine has no interface %s", name))
	}
	return i, nil
}

// dialOnce is one attempt: of a name's addresses one after the other, as ssh has it, and none beside another. They may be those of two machines.
func (s *sshSettings) dialOnce(ctx context.Context, o Options) (conn net.Conn, err error) {
	if err := s.checkZone(); err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(s.Host); err == nil {
		return s.dialAddress(ctx, o, s.Host)
	}
	all, err := lookUp(ctx, s.Host, s.network, o.ConnectTimeout)
	if err != nil {
		return nil, unreachable(err)
	}
	for _, ip := range all {
		if conn, err = s.dialAddress(ctx, o, ip.String()); err == nil || ctx.Err() != nil {
			break
		}
	}
	return conn, err
}

// dialAddress connects to one address.
func (s *sshSettings) dialAddress(ctx context.Context, o Options, ip string) (net.Conn, error) {
	d := net.Dialer{Timeout: o.ConnectTimeout}
	if s.noTCPKeepAlive {
		d.KeepAlive = -1
	}
	network := "tcp4"
	if strings.Contains(ip, ":") {
		network = "tcp6"
	}
	switch { // the address goes before the interface
	case s.bind != "":
		from, err := net.ResolveTCPAddr(network, net.JoinHostPort(s.bind, "0"))
		if err != nil {
			return nil, fmt.Errorf("BindAddress: %w", err)
		}
		d.LocalAddr = from
	case s.bindInterface != "":
		bind, err := interfaceBinder(s.bindInterface)
		if err != nil {
			return nil, fmt.Errorf("BindInterface: %w", err)
		}
		d.Control = bind
	}
	conn, err := d.DialContext(ctx, s.network, net.JoinHostPort(ip, s.Port))
	if err != nil {
		return nil, unreachable(err)
	}
	return conn, nil
}

// interfaceBinder gives a socket the address that an interface has of its family, as ssh does: one of the loopback or of the link only where there is
// no other.
func interfaceBinder(name string) (func(network, address string, c syscall.RawConn) error, error) {
	i, err := interfaceNamed(name)
	if err != nil {
		return nil, err
	}
	addrs, err := i.Addrs()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	up := i.Flags&net.FlagUp != 0
	var best [2]netip.Addr // of IPv4, of IPv6
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !up {
			continue
		}
		ip, family := p.Addr(), 0
		if ip.Is6() {
			family = 1
		}
		local := func(ip netip.Addr) bool { return ip.IsLoopback() || ip.Is6() && ip.IsLinkLocalUnicast() }
		if !best[family].IsValid() || local(best[family]) && !local(ip) {
			best[family] = ip
		}
	}
	return func(network, _ string, c syscall.RawConn) error {
		var to unix.Sockaddr
		switch ip := best[0]; {
		case network == "tcp4" && ip.IsValid():
			to = &unix.SockaddrInet4{Addr: ip.As4()}
		case network == "tcp6" && best[1].IsValid():
			to = &unix.SockaddrInet6{Addr: best[1].As16()}
			if best[1].IsLinkLocalUnicast() {
				to.(*unix.SockaddrInet6).ZoneId = uint32(i.Index)
			}
		default:
			return fmt.Errorf("interface %s has no address for %s", name, network)
		}
		bound := c.Control(func(fd uintptr) { err = unix.Bind(int(fd), to) })
		return errors.Join(bound, err)
	}, nil
}

// jumpTo logs in to the last of the jump hosts, by way of those before it, and connects from there.
func (s *sshSettings) jumpTo(ctx context.Context, o Options, depth int) (*Client, net.Conn, error) {
	if depth >= maxJumps {
		return nil, nil, hint.To(errLoop, "ssh_config(5): \"ProxyJump none\" for the jump host itself, before Host *")
	}
	jump, err := s.proxyTokens().expandTokens(s.jump, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("ProxyJump: %w", err)
	}
	before, last := "", jump
	if i := strings.LastIndexByte(jump, ','); i >= 0 {
		before, last = jump[:i], jump[i+1:]
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
		err = fmt.Errorf("from jump host %s: %w", j.Target, err)
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) && refused.Reason == ssh.Prohibited { // by its rules, which another try does not change
			return nil, nil, hint.To(err, "AllowTcpForwarding and PermitOpen in its sshd_config(5), and no-port-forwarding in authorized_keys, decide that")
		}
		return nil, nil, unreachable(err)
	}
	return via, conn, nil
}
