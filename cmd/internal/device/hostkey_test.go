package device

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
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
		"NULs, as after a crash":     {name + " " + strings.TrimSpace(host) + "\x00\x00\n\x00" + name + " " + other, ""},
		"revoked, with a NUL":        {name + " " + host + "@revoked * " + strings.TrimSpace(host) + "\x00", "revoked"},
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

// KnownHostsCommand is run with the words that ssh gives it, and what it says is believed as ssh does: it may know keys, and revoke them.
func TestKnownHostsCommand(t *testing.T) {
	s := startServer(t)
	host, port, _ := net.SplitHostPort(s.addr)
	name := "[" + host + "]:" + port + " "
	asked, program := s.path("asked"), s.path("knows keys")
	for about, c := range map[string]struct {
		does string // behind the program's own note of how it was called
		file string // known_hosts
		ok   bool
		said string
	}{
		"it knows it":            {"echo '" + name + strings.TrimSpace(s.read(t, "host.pub")) + "'", "", true, ""},
		"it knows another":       {"echo '" + name + strings.TrimSpace(s.read(t, "other.pub")) + "'", "", false, "has changed"},
		"another, and a file":    {"echo '" + name + strings.TrimSpace(s.read(t, "other.pub")) + "'", name + s.read(t, "host.pub"), true, ""},
		"it knows nothing":       {"", "", false, "is unknown"},
		"of another host":        {"echo 'nobody " + strings.TrimSpace(s.read(t, "host.pub")) + "'", "", false, "is unknown"},
		"without the port":       {"echo '" + host + " " + strings.TrimSpace(s.read(t, "host.pub")) + "'", "", false, "is unknown"},
		"it revokes":             {"echo '@revoked * " + strings.TrimSpace(s.read(t, "host.pub")) + "'", name + s.read(t, "host.pub"), false, "is revoked"},
		"it fails":               {"echo no luck >&2; exit 3", name + s.read(t, "host.pub"), false, "exit status 3; no luck"},
		"it fails with the key":  {"test \"$2\" = ORDER", name + s.read(t, "host.pub"), false, "exit status 1"},
		"only if told of it":     {"test \"$2\" = ORDER || echo \"$1 $3 $4\"", "", true, ""},
		"rubbish":                {"echo rubbish; echo '" + name + strings.TrimSpace(s.read(t, "host.pub")) + "'", "", true, ""},
		"a key that is not ours": {"printf '" + name + "ssh-new AAAA\\n'", name + s.read(t, "host.pub"), true, ""},
	} {
		judge.Must(t, judge.WriteProgram(program, []byte("#!/bin/sh\necho \"$@\" >>'"+asked+"'\n"+c.does+"\n"), 0o755))
		write(t, s.path("known_file"), c.file)
		lines := `KnownHostsCommand "` + program + `" %H %I %t %K %f "%n of %u" %h\ %p %r 100%%` + "\nGlobalKnownHostsFile none\nUserKnownHostsFile " + s.path("known_file")
		os.Remove(asked)
		err := s.dialWith(t, lines, nil)
		ours, _ := os.ReadFile(asked)
		if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %v, want %q", about, err, c.said)
		}
		os.Remove(asked)
		if ssh := s.agreesWithSSH(t); ssh != c.ok {
			t.Errorf("%s: ssh logs in: %t", about, ssh)
		}
		theirs, _ := os.ReadFile(asked)
		theirs = bytes.Replace(theirs, []byte(host+" ORDER"), []byte(strings.TrimSpace(name)+" ORDER"), 1) // before OpenSSH 10
		if string(ours) != string(theirs) || len(ours) == 0 {
			t.Errorf("%s: it was called so\n%s, and by ssh so\n%s", about, ours, theirs)
		}
	}
	for command, said := range map[string]string{"touch x": "no absolute path", "/bin/echo %z": "%z", s.path("nothing"): "no such file"} {
		if err := s.dialWith(t, "KnownHostsCommand "+command, nil); err == nil || !strings.Contains(err.Error(), "KnownHostsCommand "+command) || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v, want %q", command, err, said)
		}
	}
	if err := s.dialWith(t, "KnownHostsCommand /bin/false", func(o *Options) { o.KnownHosts = []string{s.path("known_hosts")} }); err != nil {
		t.Errorf("where --known-hosts decides alone: %v", err)
	}
}

// A command is split as ssh splits it.
func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, " \t": nil, "/a b\tc ": {"/a", "b", "c"}, `"/a b" 'c "d"' e"f g"h`: {"/a b", `c "d"`, "ef gh"}, `a\ b "c\ d" \"x \\ \n 'it\'s'`: {"a b", `c\ d`, `"x`, `\`, `\n`, "it's"},
		`a ""`: {"a", ""}, `a\`: {`a\`},
	} {
		if got, err := splitWords(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{`"a`, `a 'b"`, `a "b\"`} {
		if got, err := splitWords(text); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// Of an authority's lines those are taken that ssh sees.
func TestHostCertificates(t *testing.T) {
	authority, host := ecdsaKey(t), ecdsaKey(t)
	ca := line(authority.PublicKey())
	for about, c := range map[string]struct {
		names []string
		known string
		ok    bool
	}{
		"its name":             {[]string{"127.0.0.1"}, "@cert-authority * " + ca, true},
		"another's":            {[]string{"127.0.0.2"}, "@cert-authority * " + ca, false},
		"a tab and blanks":     {[]string{"127.0.0.1"}, "@cert-authority\t* " + ca, false},
		"tabs alone":           {[]string{"127.0.0.1"}, "@cert-authority\t*\t" + strings.ReplaceAll(ca, " ", "\t"), true},
		"blanks, and then one": {[]string{"127.0.0.1"}, "@cert-authority *\t" + strings.ReplaceAll(ca, " ", "\t"), true},
	} {
		cert := certificate(t, authority, ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: c.names})
		certified := judge.Value(ssh.NewCertSigner(cert, host))(t)
		s := startServer(t, func(config *ssh.ServerConfig) {
			*config = ssh.ServerConfig{PublicKeyCallback: config.PublicKeyCallback}
			config.AddHostKey(certified)
		})
		err := s.dialWith(t, "GlobalKnownHostsFile none\nUserKnownHostsFile "+write(t, s.path("known_ca"), c.known), nil)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrHostKey) {
			t.Errorf("%s: %v", about, err)
		}
		if ssh := s.agreesWithSSH(t); ssh != c.ok {
			t.Errorf("%s: ssh logs in: %t", about, ssh)
		}
	}
}

// Who would be let in by ssh, because the configuration is lenient, learns why he is not here.
func TestStricterThanSSH(t *testing.T) {
	s := startServer(t)
	for _, lines := range []string{"StrictHostKeyChecking no", "StrictHostKeyChecking accept-new", "VerifyHostKeyDNS yes", "NoHostAuthenticationForLocalhost yes", "StrictHostKeyChecking no, NoHostAuthenticationForLocalhost yes", ""} {
		err := s.dialWith(t, strings.ReplaceAll(lines, ", ", "\n")+"\nUserKnownHostsFile "+s.path("nothing"), nil)
		if !errors.Is(err, ErrHostKey) || strings.Contains(hint.Of(err), "the configuration's") != (lines != "") || !strings.Contains(hint.Of(err), lines) {
			t.Errorf("%s: %v (%s)", lines, err, hint.Of(err))
		}
	}
}
