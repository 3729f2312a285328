package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
)

// Dial logs in to a target, "user@host:port" or a name in ssh_config(5). The
// client lives until it is closed or ctx ends. The error wraps ErrHostKey or
// ErrAuth where that is the cause; it may have a hint (HintOf).
func Dial(ctx context.Context, target string, o Options) (*Client, error) {
	s, err := resolveTarget(ctx, target, o)
	if err != nil {
		return nil, err
	}
	return s.dialTarget(ctx, o, 0)
}

// errNoCommon is that a server has no key of the types that were asked for.
var errNoCommon = errors.New("no host key of a type that is known")

func (s *sshSettings) dialTarget(ctx context.Context, o Options, depth int) (*Client, error) {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = s.connectTimeout
	}
	o = o.withDefaults()
	v, err := s.verdictFor(o)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.Target, err)
	}
	c, err := s.tryAll(ctx, o, v, depth)
	if err == nil {
		return c, nil
	}
	if o.Keys == nil && o.HostKey != "" && errors.Is(err, ErrHostKey) {
		err = hint.To(fmt.Errorf("%w: none of its keys has the fingerprint %s", ErrHostKey, o.HostKey), "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the device prints its own")
	}
	if errors.Is(err, errLoop) && depth > 0 {
		return nil, err // once is enough
	}
	return nil, fmt.Errorf("connecting to %s: %w", s.Target, err)
}

// tryAll makes one connection for each of the verdict's lists of algorithms until one of them shows the right key.
// SHA-1 is offered only to a server that had nothing better, and where HostKeyAlgorithms leaves nothing better.
func (s *sshSettings) tryAll(ctx context.Context, o Options, v *keyVerdict, depth int) (*Client, error) {
	var first error
	for _, algorithms := range v.algorithms {
		if algorithms[0] == ssh.KeyAlgoRSA && first != nil && !errors.Is(first, errNoCommon) {
			continue
		}
		c, err := s.tryDial(ctx, o, v, algorithms, depth)
		if !errors.Is(err, ErrHostKey) {
			return c, err
		}
		if first == nil || errors.Is(first, errNoCommon) && !errors.Is(err, errNoCommon) {
			first = err
		}
	}
	return nil, first
}

// tryDial is one connection.
func (s *sshSettings) tryDial(ctx context.Context, o Options, v *keyVerdict, algorithms []string, depth int) (*Client, error) {
	via, raw, err := s.openConnection(ctx, o, depth)
	if err != nil {
		return nil, err
	}
	c := &Client{Target: s.Target, options: o, via: via}
	_, isTCP := raw.(*net.TCPConn)
	c.direct = isTCP && (s.algorithms.ciphers == nil || slices.Contains(s.algorithms.ciphers, chacha20Poly1305))
	c.conn = &heardConn{Conn: raw, stage: &loginClock{fail: c.closeBecause}}
	c.life, c.end = context.WithCancel(ctx)
	context.AfterFunc(c.life, func() { c.closeBecause(ctx.Err()) })
	err = c.handshake(s, v, algorithms)
	c.conn.stage.stopClock()
	if cause := c.closeCause(); cause != nil { // the clock may have been faster than a good end
		err = cause
	}
	if err != nil {
		if p, ok := raw.(*programConn); ok && errors.Is(err, ErrUnreachable) {
			err = p.addSaid(err)
		}
		c.Close()
		return nil, err
	}
	go c.askAlive()
	return c, nil
}

// handshake checks the device's key and logs in. The time that a person needs for a
// passphrase does not count.
func (c *Client) handshake(s *sshSettings, v *keyVerdict, algorithms []string) error {
	ask := c.options.Ask
	if s.batch {
		ask = nil
	}
	h, err := s.holdIdentities(c.life, c.options, ask)
	if err != nil {
		return err
	}
	defer h.closeAgent()
	stage, slow := c.conn.stage, c.options.LoginTimeout
	stage.beginPart("its ssh server has said nothing", c.options.ConnectTimeout)
	c.conn.first = func() { stage.beginPart("key exchange", slow) }
	pause := func() func() {
		stage.stopClock()
		return func() { stage.beginPart("authentication", slow) }
	}
	var refused, signing error
	// The order of ciphers is the library's. Of what Debian's dropbear offers, which has no GCM, the first one is chacha20-poly1305, and that is
	// as it should be. Instructions of a Compute Module 3 for each byte, from the socket into the pipe (fixtures/bench/cm3):
	//
	//	chacha20-poly1305                 28
	//	aes128-ctr, hmac-sha2-256         88
	//	aes256-ctr, hmac-sha2-256        102
	//
	// By AES, 100 Mbit/s would take more than a billion a second, about all that one core has. What a flash sends goes beside SSH where it can ([Client.DialDirect]).
	g := &s.algorithms
	config := &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: g.kex, Ciphers: g.ciphers, MACs: g.macs, RekeyThreshold: g.rekey},
		User:              s.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(h.attendedSigners(pause, &signing, g)...)},
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-groundhog",
		HostKeyCallback: func(_ string, from net.Addr, key ssh.PublicKey) error {
			stage.beginPart("authentication", slow)
			c.HostKey, _ = withoutCertificate(key)
			refused = v.check(key, from)
			return refused
		},
	}
	conn, channels, requests, err := ssh.NewClientConn(c.conn, net.JoinHostPort(s.Host, s.Port), config)
	if err == nil {
		c.conn.inside.Store(true)
		c.ssh = ssh.NewClient(conn, channels, requests)
		return nil
	}
	return loginError(s, h, err, refused, signing, c.options.hop)
}

// loginError says why a login failed: refused is the verdict on the host key, signing what one of our keys' holders said.
func loginError(s *sshSettings, h *heldIdentities, err, refused, signing error, hop bool) error {
	var none *ssh.AlgorithmNegotiationError
	var broken net.Error
	switch {
	case refused != nil:
		return refused
	case errors.As(err, &none) && none.What == "host key":
		return hint.To(fmt.Errorf("%w: %w: it has none of %.200q", ErrHostKey, errNoCommon, strings.Join(none.RequestedAlgorithms, " ")),
			"another device answers, or this one was set up anew: if you know that it was, ssh-keygen -R forgets its old keys, and --host-key SHA256:... names the new one")
	case signing != nil:
		return signing
	case strings.Contains(err.Error(), "unable to authenticate"):
		todo := "-i FILE names a key; ssh-add gives one to the agent"
		if hop {
			todo = "IdentityFile in ssh_config(5) names a key for a jump host, which -i does not; ssh-add gives one to the agent"
		}
		return hint.To(fmt.Errorf("%w as %s: tried %s", ErrAuth, s.User, h.triedNames()), todo)
	case strings.Contains(strings.ToLower(err.Error()), "too many authentication failures"):
		return hint.To(fmt.Errorf("%w as %s: it wants no more keys than it has seen; we hold %s", ErrAuth, s.User, h.triedNames()),
			"-i FILE names the key to begin with; IdentitiesOnly in ssh_config(5) leaves out what else the agent has")
	}
	text := errors.New(strings.TrimPrefix(err.Error(), "ssh: "))
	if errors.Is(err, io.EOF) || errors.As(err, &broken) { // it may be on its way down, or up
		return unreachable(text)
	}
	return text
}

// triedNames lists the identities in words.
func (h *heldIdentities) triedNames() string {
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
