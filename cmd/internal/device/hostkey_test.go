package device

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
	"groundhog/initrd/debian/dropbear"
)

// ecdsaKey and rsaKey are host keys of other types than the server's own.
func ecdsaKey(t *testing.T) ssh.Signer {
	key := judge.Value(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	return signer(t, key)
}

func rsaKey(t *testing.T) ssh.Signer {
	key := judge.Value(rsa.GenerateKey(rand.Reader, 2048))(t)
	return signer(t, key)
}

func signer(t *testing.T, key any) ssh.Signer {
	t.Helper()
	return judge.Value(ssh.NewSignerFromKey(key))(t)
}

func line(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

// A known_hosts file is read as ssh(1) reads it, whatever else is in it.
func TestKnownHostsFiles(t *testing.T) {
	s := startServer(t)
	host, other := s.read(t, "host.pub"), s.read(t, "other.pub")
	strange := ecdsaKey(t).PublicKey()
	name := knownhosts.Normalize(s.addr)
	wildcard := judge.Value(dropbear.KnownHosts(nil, publicKey(t, host)))(t)
	for about, c := range map[string]struct {
		text string
		err  string // "" if the key is known
	}{
		"any host on any port":       {string(wildcard), ""},
		"hashed":                     {knownhosts.HashHostname(name) + " " + host, ""},
		"two keys of one type":       {name + " " + other + name + " " + host, ""},
		"comments and blank lines":   {"# " + name + "\n\n   # x\n" + name + " " + host, ""},
		"a line of rubbish before":   {"rubbish\n" + name + " ssh-new AAAA\n" + name + " " + host, ""},
		"a line of rubbish only":     {name + " ssh-new AAAA\n", "known_strange:1"},
		"excluded":                   {"!" + name + ",!127.0.0.1,* " + host, "unknown"},
		"known without a port":       {"127.0.0.1 " + host, ""},
		"another, without a port":    {"127.0.0.1 " + other, "unknown"},
		"without a port, excluded":   {"!127.0.0.1,127.* " + host, "unknown"},
		"an authority":               {"@cert-authority * " + line(strange) + name + " " + host, ""},
		"an authority of its type":   {"@cert-authority\t* " + other + name + " " + host, ""},
		"an authority is no host":    {"@cert-authority * " + host, "unknown"},
		"an authority changes none":  {"@cert-authority * " + other, "unknown"},
		"revoked":                    {name + " " + host + "@revoked * " + host, "revoked"},
		"known are others, its type": {name + " " + other, "changed"},
		"known are others, no type":  {name + " " + line(strange), "of a type that is known"},
	} {
		o := s.good()
		o.KnownHosts = []string{write(t, s.path("known_strange"), c.text)}
		client, err := Dial(t.Context(), s.target(), o)
		if client != nil {
			client.Close()
		}
		if c.err == "" {
			if err != nil {
				t.Errorf("%s: %v", about, err)
			}
			continue
		}
		if !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error()+hint.Of(err), c.err) || hint.Of(err) == "" {
			t.Errorf("%s: %v (%s), want %q", about, err, hint.Of(err), c.err)
		}
	}
}

// A name is asked for in lower case, and HostKeyAlias without a port.
func TestKnownHostsNames(t *testing.T) {
	s := startServer(t)
	host, port, _ := net.SplitHostPort(s.addr)
	config := write(t, s.path("config"), fmt.Sprintf("Host A\n HostName LOCALHOST\nHost B\n HostKeyAlias b-alias\nHost *\n HostName %s\n Port %s\n User bench\n IdentityFile %s\n",
		host, port, s.path("login")))
	o := Options{Config: config, KnownHosts: []string{write(t, s.path("known"), "[localhost]:"+port+" "+s.read(t, "host.pub")+"b-alias "+s.read(t, "host.pub"))}}
	for target, known := range map[string]bool{"A": true, "B": true, "C": false} {
		c, err := Dial(t.Context(), target, o)
		if c != nil {
			c.Close()
		}
		if known != (err == nil) || !known && !errors.Is(err, ErrHostKey) {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// A server shows the one of its keys that is asked for: the known one.
func TestServerWithThreeKeys(t *testing.T) {
	ec, rs := ecdsaKey(t), rsaKey(t)
	s := startServer(t, func(c *ssh.ServerConfig) { c.AddHostKey(ec); c.AddHostKey(rs) })
	for _, key := range []ssh.PublicKey{publicKey(t, s.read(t, "host.pub")), ec.PublicKey(), rs.PublicKey()} {
		known := write(t, s.path("known_one"), knownhosts.Normalize(s.addr)+" "+line(key))
		for about, change := range map[string]func(*Options){
			"known":       func(o *Options) { o.KnownHosts = []string{known} },
			"fingerprint": func(o *Options) { o.HostKey = ssh.FingerprintSHA256(key) },
			"promised":    func(o *Options) { o.Keys = []ssh.PublicKey{key} },
		} {
			o := s.good()
			change(&o)
			c, err := Dial(t.Context(), s.target(), o)
			if err != nil {
				t.Errorf("%s, %s: %v", about, key.Type(), err)
				continue
			}
			if line(c.HostKey) != line(key) {
				t.Errorf("%s, %s: the client says it saw %s", about, key.Type(), c.HostKey.Type())
			}
			c.Close()
		}
	}
	o := s.good()
	o.HostKey = "SHA256:" + strings.Repeat("A", 43)
	if _, err := Dial(t.Context(), s.target(), o); !errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), "none of its keys") || hint.Of(err) == "" {
		t.Errorf("another fingerprint: %v (%s)", err, hint.Of(err))
	}
	o.HostKey = "MD5:aa:bb"
	if _, err := Dial(t.Context(), s.target(), o); err == nil || hint.Of(err) == "" {
		t.Errorf("no fingerprint: %v", err)
	}
}

// A program that knows host keys is not run, and that is said where it might have known one.
func TestKnownHostsCommand(t *testing.T) {
	s := startServer(t)
	ran := s.path("ran")
	o := s.good()
	o.KnownHosts = nil
	o.Config = write(t, s.path("config"), "KnownHostsCommand /usr/bin/touch "+ran+"\nUserKnownHostsFile /dev/null\nGlobalKnownHostsFile none\n")
	judge.Tool(t, "ssh")
	if _, err := Dial(t.Context(), s.target(), o); !errors.Is(err, ErrHostKey) || !strings.Contains(hint.Of(err), "KnownHostsCommand is not run") {
		t.Errorf("%v (%s)", err, hint.Of(err))
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("it was run")
	}
}
