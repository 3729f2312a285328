package device

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
)

// keyFile writes a new private key.
func keyFile(t *testing.T, name string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block := judge.Value(ssh.MarshalPrivateKey(private, ""))(t)
	write(t, name, string(pem.EncodeToMemory(block)))
	return signer(t, private)
}

// A certificate beside the key, or named by CertificateFile, logs in where only its authority is known; ssh agrees.
func TestUserCertificates(t *testing.T) {
	authority := ecdsaKey(t)
	checker := &ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool { return sameKey(k, authority.PublicKey()) }}
	s := startServer(t, func(c *ssh.ServerConfig) { c.PublicKeyCallback = checker.Authenticate })
	me := keyFile(t, s.path("me"))
	good := certificate(t, authority, ssh.Certificate{Key: me.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"bench"}, KeyId: "me"})
	other := certificate(t, authority, ssh.Certificate{Key: ecdsaKey(t).PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"bench"}})
	host := certificate(t, authority, ssh.Certificate{Key: me.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"bench"}})
	for about, c := range map[string]struct {
		beside, named *ssh.Certificate
		ok            bool
		said          string // of what is not used
	}{
		"none":               {nil, nil, false, ""},
		"beside the key":     {good, nil, true, ""},
		"by CertificateFile": {nil, good, true, ""},
		"of another key":     {nil, other, false, "nobody here has the key"},
		"a host's":           {host, nil, false, "no user's certificate"},
		"where one is named": {good, other, false, "nobody here has the key"}, // the one beside the key is none then
	} {
		os.Remove(s.path("me-cert.pub"))
		if c.beside != nil {
			write(t, s.path("me-cert.pub"), line(c.beside))
		}
		text := "Host *\n IdentityAgent none\n IdentityFile " + s.path("me") + "\n"
		if c.named != nil {
			text += " CertificateFile " + write(t, s.path("named.pub"), line(c.named)) + "\n"
		}
		o := Options{Config: write(t, s.path("config"), text), KnownHosts: []string{s.path("known_hosts")}}
		client, err := Dial(t.Context(), s.target(), o)
		if err == nil {
			client.Close()
		}
		if c.ok != (err == nil) || !c.ok && (!errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), c.said)) {
			t.Errorf("%s: %v, want %q", about, err, c.said)
		}
		addr := strings.Split(s.addr, ":")
		out, err := exec.Command(judge.Tool(t, "ssh"), "-F", s.path("config"), "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+s.path("known_hosts"),
			"-p", addr[1], "bench@"+addr[0], "true").CombinedOutput()
		if c.ok != (err == nil) {
			t.Errorf("%s: ssh does otherwise: %v: %s", about, err, out)
		}
	}
}

// SHA-1 is offered for the host key of a server that has nothing better, and to no other.
func TestSHA1OnlyWhereNeeded(t *testing.T) {
	rs := rsaKey(t)
	old := judge.Value(ssh.NewSignerWithAlgorithms(rs.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA}))(t)
	for about, host := range map[string]ssh.Signer{"old": old, "new": rs} {
		s := startServer(t, func(c *ssh.ServerConfig) {
			*c = ssh.ServerConfig{PublicKeyCallback: c.PublicKeyCallback}
			c.AddHostKey(host)
		})
		for how, change := range map[string]func(*Options){
			"promised":    func(o *Options) { o.Keys = []ssh.PublicKey{rs.PublicKey()} },
			"fingerprint": func(o *Options) { o.HostKey = ssh.FingerprintSHA256(rs.PublicKey()) },
			"known":       func(o *Options) { o.KnownHosts = []string{write(t, s.path("known_rsa"), "* "+line(rs.PublicKey()))} },
		} {
			o := s.good()
			change(&o)
			c, err := Dial(t.Context(), s.target(), o)
			if err != nil {
				t.Errorf("%s, %s: %v", about, how, err)
				continue
			}
			with, ok := c.ssh.Conn.(ssh.AlgorithmsConnMetadata)
			if !ok {
				t.Fatal("the connection does not say what it uses")
			}
			if got := with.Algorithms().HostKey; (got == ssh.KeyAlgoRSA) != (about == "old") {
				t.Errorf("%s, %s: %s is used", about, how, got)
			}
			c.Close()
		}
	}
	for _, tries := range [][][]string{withSHA1(algorithmsFor([]ssh.PublicKey{rs.PublicKey()})), withSHA1((&knownHost{lines: [][]knownLine{nil}}).hostKeyAlgorithms(nil, false))} {
		for i, algorithms := range tries {
			if slices.Contains(algorithms, ssh.InsecureKeyAlgoDSA) || slices.Contains(algorithms, ssh.KeyAlgoRSA) && (i == 0 || len(algorithms) > 1) {
				t.Errorf("try %d: %q", i, algorithms)
			}
		}
	}
}

// Whatever a server says before it lets us in, it is bounded.
func TestFloodBeforeLogin(t *testing.T) {
	s := startServer(t, func(c *ssh.ServerConfig) {
		c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, &ssh.BannerError{Err: errors.New("no"), Message: strings.Repeat("welcome! ", 20000)}
		}
		c.MaxAuthTries = -1
	})
	o := s.good()
	o.Identities = nil
	for i := range 10 {
		name := filepath.Join(s.dir, fmt.Sprint("key", i))
		keyFile(t, name)
		o.Identities = append(o.Identities, name)
	}
	err := within(t, "the end", func() error { _, err := Dial(t.Context(), s.target(), o); return err })
	if err == nil || !strings.Contains(err.Error(), "before it lets us in") {
		t.Errorf("%v", err)
	}
}

// A ProxyCommand that fails has the word.
func TestProxyCommandFails(t *testing.T) {
	s := startServer(t)
	o := s.good()
	o.Config = write(t, s.path("config"), "Host *\n ProxyCommand echo no way to %h:%p as %r >&2; exit 3\n")
	_, err := Dial(t.Context(), s.target(), o)
	if want := "says: no way to " + s.addr + " as bench"; err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v, want %q", err, want)
	}
}
