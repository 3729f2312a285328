package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Dial logs in to a target, "user@host:port" or a name in ssh_config(5). The
// client lives until it is closed or ctx ends. The error wraps ErrHostKey or
// ErrAuth where that is the cause; it may have a hint (HintOf).
func Dial(ctx context.Context, target string, o Options) (*Client, error) {
	o = o.orDefault()
	s, err := resolve(target, o)
	if err != nil {
		return nil, err
	}
	return s.dial(ctx, o, 0)
}

// maxJumps bounds a chain of ProxyJump, which may lead back to itself.
const maxJumps = 8

var errLoop = fmt.Errorf("more than %d jump hosts: ProxyJump seems to lead back to itself", maxJumps)

func (s *settings) dial(ctx context.Context, o Options, depth int) (*Client, error) {
	v, err := s.verdictFor(o)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.Target, err)
	}
	var c *Client
	for _, algorithms := range v.algorithms {
		c, err = s.try(ctx, o, v, algorithms, depth)
		if !errors.Is(err, ErrHostKey) {
			break
		}
	}
	if err == nil {
		return c, nil
	}
	if len(v.algorithms) > 1 && errors.Is(err, ErrHostKey) {
		err = hint(fmt.Errorf("%w: none of its keys has the fingerprint %s", ErrHostKey, o.HostKey), "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the device prints its own")
	}
	if errors.Is(err, errLoop) && depth > 0 {
		return nil, err // once is enough
	}
	return nil, fmt.Errorf("connecting to %s: %w", s.Target, err)
}

// try is one connection.
func (s *settings) try(ctx context.Context, o Options, v *verdict, algorithms []string, depth int) (*Client, error) {
	via, raw, err := s.connect(ctx, o, depth)
	if err != nil {
		return nil, err
	}
	c := &Client{Target: s.Target, options: o, conn: &heardConn{Conn: raw}, via: via}
	c.conn.heard.Store(time.Now().UnixNano())
	c.life, c.end = context.WithCancel(ctx)
	context.AfterFunc(c.life, func() { c.fail(ctx.Err()) })
	late := time.AfterFunc(o.ConnectTimeout, func() { c.fail(unreachable{fmt.Errorf("no answer within %s", o.ConnectTimeout)}) })
	err = c.handshake(s, v, algorithms, late)
	late.Stop()
	if cause := c.cause(); cause != nil { // the timer may have been faster than a good end
		err = cause
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	go c.listen()
	return c, nil
}

// connect makes the connection that SSH runs over.
func (s *settings) connect(ctx context.Context, o Options, depth int) (*Client, net.Conn, error) {
	address := net.JoinHostPort(s.Host, s.Port)
	if s.jump == "" {
		d := net.Dialer{Timeout: o.ConnectTimeout}
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			err = unreachable{err}
		}
		return nil, conn, err
	}
	if depth >= maxJumps {
		return nil, nil, hint(errLoop, "ssh_config(5): \"ProxyJump none\" for the jump host itself, before Host *")
	}
	before, last := "", s.jump
	if i := strings.LastIndexByte(s.jump, ','); i >= 0 {
		before, last = s.jump[:i], s.jump[i+1:]
	}
	hop := Options{Config: o.Config, Identities: o.Identities, Ask: o.Ask,
		ConnectTimeout: o.ConnectTimeout, Keepalive: o.Keepalive, Silence: o.Silence}
	j, err := resolve(strings.TrimPrefix(last, "ssh://"), hop)
	if err != nil {
		return nil, nil, fmt.Errorf("jump host: %w", err)
	}
	if before != "" {
		j.jump = before
	}
	via, err := j.dial(ctx, hop, depth+1)
	if errors.Is(err, errLoop) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("jump host: %w", err)
	}
	limit, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
	defer cancel()
	conn, err := via.ssh.DialContext(limit, "tcp", address)
	if err != nil {
		via.Close()
		return nil, nil, unreachable{fmt.Errorf("from jump host %s: %w", j.Target, err)}
	}
	return via, conn, nil
}

// handshake checks the device's key and logs in. The time that a person needs for a
// passphrase does not count.
func (c *Client) handshake(s *settings, v *verdict, algorithms []string, late *time.Timer) error {
	h, err := s.hold(c.life, c.options, c.options.Ask)
	if err != nil {
		return err
	}
	defer h.close()
	pause := func() func() {
		late.Stop()
		return func() { late.Reset(c.options.ConnectTimeout) }
	}
	var refused, signing error
	var none *ssh.AlgorithmNegotiationError
	config := &ssh.ClientConfig{
		User:              s.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(h.attended(pause, &signing)...)},
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-groundhog",
		HostKeyCallback: func(_ string, remote net.Addr, key ssh.PublicKey) error {
			c.HostKey = key
			refused = v.check(remote, key)
			return refused
		},
	}
	conn, channels, requests, err := ssh.NewClientConn(c.conn, net.JoinHostPort(s.Host, s.Port), config)
	switch {
	case err == nil:
		c.ssh = ssh.NewClient(conn, channels, requests)
		return nil
	case refused != nil:
		return refused
	case errors.As(err, &none) && none.What == "host key":
		return hint(fmt.Errorf("%w: known are keys of other types than it has (%.200q)", ErrHostKey, strings.Join(none.RequestedAlgorithms, " ")),
			"another device answers, or this one was set up anew: if you know that it was, ssh-keygen -R forgets its old keys, and --host-key SHA256:... names the new one")
	case signing != nil:
		return signing
	case strings.Contains(err.Error(), "unable to authenticate"):
		return hint(fmt.Errorf("%w as %s: tried %s", ErrAuth, s.User, h.tried()), "-i FILE names a key; ssh-add gives one to the agent")
	case strings.Contains(strings.ToLower(err.Error()), "too many authentication failures"):
		return hint(fmt.Errorf("%w as %s: it wants no more keys than it has seen; we hold %s", ErrAuth, s.User, h.tried()),
			"-i FILE names the key to begin with; IdentitiesOnly in ssh_config(5) leaves out what else the agent has")
	}
	text := errors.New(strings.TrimPrefix(err.Error(), "ssh: "))
	var broken net.Error
	if errors.Is(err, io.EOF) || errors.As(err, &broken) { // it may be on its way down, or up
		return unreachable{text}
	}
	return text
}

// tried lists the identities in words.
func (h *held) tried() string {
	var all []string
	for _, id := range h.ids {
		all = append(all, fmt.Sprintf("%s (%s)", ssh.FingerprintSHA256(id.Key), id.From))
	}
	if len(all) == 0 {
		all = append(all, "none, because we hold none")
	}
	for _, t := range h.trouble {
		all = append(all, "not "+t)
	}
	return strings.Join(all, ", ")
}

// heardConn remembers when it last heard something.
type heardConn struct {
	net.Conn
	heard atomic.Int64 // nanoseconds since 1970
}

func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}
