package device

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"groundhog/fixtures/judge"
)

// TestMain makes the test's own program what a ProxyCommand names: it carries bytes between a connection and
// its standard input and output.
func TestMain(m *testing.M) {
	if to := os.Getenv("GROUNDHOG_TEST_RELAY"); to != "" {
		conn, err := net.Dial("tcp", to)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go func() { io.Copy(conn, os.Stdin); os.Exit(0) }() // who started us is gone
		io.Copy(os.Stdout, conn)
		os.Exit(0)
	}
	// Whose agent and whose keys this machine's user has is nothing to tests. They have one home together, so that those that mostly
	// wait can do it side by side.
	home, err := os.MkdirTemp("", "groundhog-test-home-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Unsetenv("SSH_AUTH_SOCK")
	os.Setenv("HOME", home)
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

// certificate is one that authority signs.
func certificate(t *testing.T, authority ssh.Signer, c ssh.Certificate) *ssh.Certificate {
	t.Helper()
	if c.ValidBefore == 0 {
		c.ValidBefore = ssh.CertTimeInfinity
	}
	judge.Must(t, c.SignCert(rand.Reader, authority))
	return &c
}

// rig is what the generated connections have to do with: three servers and an authority. The second server has a
// certificate for lab-1, the third one an RSA key, too.
type rig struct {
	servers   []*server
	authority ssh.Signer
	cert      *ssh.Certificate
	login     string // a key that all of them let in
}

func newRig(t *testing.T) *rig {
	r := &rig{authority: ecdsaKey(t)}
	rs, host := rsaKey(t), ecdsaKey(t)
	r.cert = certificate(t, r.authority, ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1", "lab-1", "*"}})
	certified := judge.Value(ssh.NewCertSigner(r.cert, host))(t)
	r.servers = append(r.servers, startServer(t), startServer(t, func(c *ssh.ServerConfig) {
		*c = ssh.ServerConfig{PublicKeyCallback: c.PublicKeyCallback}
		c.AddHostKey(host)
		c.AddHostKey(certified)
	}),
		startServer(t, func(c *ssh.ServerConfig) { c.AddHostKey(rs) }))
	r.login = r.servers[0].path("login")
	for i, s := range r.servers {
		write(t, s.path("authorized"), r.servers[0].read(t, "login.pub"))
		s.see.Store(strings.NewReplacer("who-are-you", fmt.Sprintf("server-%d", i)))
	}
	write(t, r.servers[1].path("host.pub"), line(host.PublicKey()))
	write(t, r.servers[2].path("rsa.pub"), line(rs.PublicKey()))
	return r
}

// knownLines are some lines of known_hosts about a server; most are true.
func (r *rig) knownLines(t *testing.T, g *generator, i int, alias string) string {
	s, name := r.servers[i], knownhosts.Normalize(r.servers[i].addr)
	_, port, _ := net.SplitHostPort(s.addr)
	var b strings.Builder
	for range 1 + g.IntN(2) {
		key := s.read(t, "host.pub")
		switch g.IntN(8) {
		case 0:
			key = r.servers[(i+1)%3].read(t, "host.pub")
		case 1, 2:
			if i == 2 {
				key = s.read(t, "rsa.pub")
			}
		}
		who := g.pick(name, name, "*", "127.0.0.1", "[127.0.0.1]:*", "[*]:"+port, "!"+name+",*", "127.0.0.*,!127.0.0.1", knownhosts.HashHostname(name),
			knownhosts.HashHostname("127.0.0.1"), alias, alias, strings.ToUpper(alias), "nobody,"+name, "["+alias+"]:"+port)
		marker := ""
		switch g.IntN(16) {
		case 0:
			marker = "@revoked "
		case 1, 2:
			marker, key = "@cert-authority ", line(r.authority.PublicKey())
		case 3:
			marker, key = "@revoked ", line(r.authority.PublicKey())
		case 4:
			b.WriteString("rubbish\n" + who + " ssh-new AAAA\n# " + who + "\n")
		}
		b.WriteString(marker + who + " " + key)
	}
	return b.String()
}

// bySSH is who answers ssh(1), and whether it refused the host's key.
func (r *rig) bySSH(t *testing.T, config, host string) (who string, refused bool, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, judge.Tool(t, "ssh"), "-F", config, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no", host, "echo who-are-you")
	var text bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &text, time.Second // a ProxyCommand may hold it for longer than ssh lives
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	said = text.String()
	if err == nil {
		return strings.TrimSpace(string(out)), false, said
	}
	if !strings.Contains(said, "ost key") {
		t.Logf("ssh: %v: %s", err, said)
	}
	return "", strings.Contains(said, "ost key verification failed") || strings.Contains(said, "ost key is known") || strings.Contains(said, "no matching host key"), said
}

func (r *rig) byUs(t *testing.T, config, host string) (who string, err error) {
	c, err := Dial(t.Context(), host, Options{Config: config})
	if err != nil {
		return "", err
	}
	defer c.Close()
	out, err := c.Output(t.Context(), "echo who-are-you")
	return strings.TrimSpace(out), err
}

// Real connections of ssh and ours reach the same servers, and the same host keys are refused.
func TestReachesAsSSH(t *testing.T) {
	t.Parallel()
	judge.Tool(t, "ssh")
	r := newRig(t)
	self := judge.Value(os.Executable())(t)
	from, one := seedOf(t)
	taken, refusals, tries := 0, 0, judge.Times(30, 80)
	for seed := from; seed < from+uint64(tries) && (!one || seed == from); seed++ {
		g := &generator{Rand: mathrand.New(mathrand.NewPCG(seed, 15)), dir: t.TempDir()}
		i := g.IntN(3)
		host, port, _ := net.SplitHostPort(r.servers[i].addr)
		alias := g.pick("lab-1", "alias", "Lab-2")
		var b strings.Builder
		fmt.Fprintf(&b, "Match host box exec \"%s\"\n Port %s\n", g.pick("true", "false", "test %n = box"), strings.Split(r.servers[g.IntN(3)].addr, ":")[1])
		b.WriteString("Host box\n HostName " + host + "\n Port " + port + "\n")
		if g.some(3) {
			b.WriteString(" HostKeyAlias " + alias + "\n")
		}
		switch g.IntN(5) {
		case 0:
			b.WriteString(" ProxyCommand env GROUNDHOG_TEST_RELAY=%h:%p " + self + "\n")
		case 1:
			b.WriteString(" ProxyJump hop\n")
		}
		hop, hopPort, _ := net.SplitHostPort(r.servers[(i+1)%3].addr)
		b.WriteString("Host hop\n HostName " + hop + "\n Port " + hopPort + "\n UserKnownHostsFile " + g.dir + "/known_hop\n")
		b.WriteString("Host *\n User bench\n IdentityFile " + r.login + "\n IdentityAgent none\n IdentitiesOnly yes\n GlobalKnownHostsFile none\n UserKnownHostsFile /dev/null " +
			g.dir + "/known " + g.dir + "/none\n")
		config := write(t, g.dir+"/config", b.String())
		known := r.knownLines(t, g, 0, alias) + r.knownLines(t, g, 1, alias) + r.knownLines(t, g, 2, alias)
		if g.some(2) {
			known = r.knownLines(t, g, i, alias)
		}
		write(t, g.dir+"/known", known)
		write(t, g.dir+"/known_hop", knownhosts.Normalize(r.servers[(i+1)%3].addr)+" "+r.servers[(i+1)%3].read(t, "host.pub"))
		about := fmt.Sprintf("GROUNDHOG_SEED=%d, server %d of %s\n%s\nknown:\n%s", seed, i, r.servers[i].addr, b.String(), known)
		want, refused, said := r.bySSH(t, config, "box")
		got, err := r.byUs(t, config, "box")
		if got != want || refused != errors.Is(err, ErrHostKey) {
			t.Errorf("%s\nssh reaches %q (refuses the key: %v), we %q, %v\n%s", about, want, refused, got, err, said)
		}
		if refused {
			refusals++
		} else if want != "" {
			taken++
		}
	}
	t.Logf("seeds from %d: %d connections made, %d host keys refused", from, taken, refusals)
	if !one && (taken < tries/6 || refusals < tries/6) {
		t.Errorf("this shows little: %d connections made, %d host keys refused", taken, refusals)
	}
}
