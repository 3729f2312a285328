package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
)

// dialWith logs in to the server with some lines of configuration in front of what it takes.
func (s *server) dialWith(t *testing.T, lines string, change func(*Options)) error {
	t.Helper()
	o := Options{Config: write(t, s.path("config"), lines+"\nIdentityAgent none\nIdentityFile "+s.path("login")+"\nUserKnownHostsFile "+s.path("known_hosts")+"\n")}
	if change != nil {
		change(&o)
	}
	c, err := Dial(t.Context(), s.target(), o)
	if err == nil {
		c.Close()
	}
	return err
}

// agreesWithSSH says whether ssh itself logs in with the same lines.
func (s *server) agreesWithSSH(t *testing.T) bool {
	t.Helper()
	host, port, _ := strings.Cut(s.addr, ":")
	cmd := exec.Command(judge.Tool(t, "ssh"), "-F", s.path("config"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-p", port, "bench@"+host, "true")
	return cmd.Run() == nil
}

// What the configuration forbids is not done, and what it wants is, as ssh itself does with the same lines and server.
func TestOptionsAsSSH(t *testing.T) {
	rsa2048 := rsaKey(t)
	s := startServer(t, func(c *ssh.ServerConfig) {
		c.Ciphers, c.MACs, c.KeyExchanges = []string{"aes128-ctr"}, []string{"hmac-sha2-256"}, []string{"ecdh-sha2-nistp384"}
		c.AddHostKey(rsa2048)
	})
	_, port, _ := net.SplitHostPort(s.addr)
	name := "[127.0.0.1]:" + port + " "
	write(t, s.path("known_rsa"), name+string(ssh.MarshalAuthorizedKey(rsa2048.PublicKey())))
	write(t, s.path("revoked"), s.read(t, "host.pub"))
	s.keygen(t, "small", "-t", "rsa", "-b", "2048", "-N", "")
	write(t, s.path("authorized"), s.read(t, "login.pub")+s.read(t, "small.pub"))
	small := "IdentitiesOnly yes\nIdentityFile " + s.path("small") + "\n"
	write(t, s.path("authorized_small"), s.read(t, "small.pub"))
	t.Chdir(s.dir)
	for _, c := range []struct {
		lines string
		known string // in place of the file with the ed25519 key
		only  string // in place of the keys that are let in
		ok    bool
		is    error
		said  string
	}{
		{"", "", "", true, nil, ""},
		{"PubkeyAuthentication no", "", "", false, nil, "PubkeyAuthentication no"},
		{"PubkeyAuthentication unbound", "", "", true, nil, ""},
		{"PreferredAuthentications password,keyboard-interactive", "", "", false, nil, "PreferredAuthentications password"},
		{"PreferredAuthentications password,publickey", "", "", true, nil, ""},
		{"Ciphers aes256-ctr", "", "", false, nil, "cipher"},
		{"Ciphers aes256-ctr,aes128-ctr", "", "", true, nil, ""},
		{"MACs hmac-sha2-512", "", "", false, nil, "MAC"},
		{"KexAlgorithms curve25519-sha256", "", "", false, nil, "key exchange"},
		{"KexAlgorithms ecdh-sha2-nistp384", "", "", true, nil, ""},
		{"KexAlgorithms curve25519-sha256@libssh.org,ecdh-sha2-nistp384", "", "", true, nil, ""},
		{"HostKeyAlgorithms rsa-sha2-512", "", "", false, ErrHostKey, "HostKeyAlgorithms rsa-sha2-512"},
		{"HostKeyAlgorithms rsa-sha2-512", "known_rsa", "", true, nil, ""},
		{"HostKeyAlgorithms ssh-ed25519", "", "", true, nil, ""},
		{"HostKeyAlgorithms ssh-rsa", "known_rsa", "", true, nil, ""},
		{"HostKeyAlgorithms ssh-rsa,ecdsa-sha2-nistp256", "known_rsa", "", true, nil, ""},
		{"HostKeyAlgorithms ssh-rsa", "", "", false, ErrHostKey, "HostKeyAlgorithms ssh-rsa"},
		{"RequiredRSASize 3072", "", "", true, nil, ""},
		{"RequiredRSASize 3072\nHostKeyAlgorithms rsa-sha2-512", "known_rsa", "", false, ErrHostKey, "2048 bits"},
		{"RequiredRSASize 3072\n" + small, "", "authorized_small", false, ErrAuth, "2048 bits"},
		{small, "", "authorized_small", true, nil, ""},
		{"PubkeyAcceptedAlgorithms rsa-sha2-256\n" + small, "", "authorized_small", true, nil, ""},
		{"PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256", "", "", false, ErrAuth, "PubkeyAcceptedAlgorithms leaves out ssh-ed25519"},
		{"RevokedHostKeys " + s.path("revoked"), "", "", false, ErrHostKey, "revoked"},
		{"RevokedHostKeys " + write(t, s.path("revoked_other"), s.read(t, "other.pub")), "", "", true, nil, ""},
		{"RevokedHostKeys " + write(t, s.path("revoked_rubbish"), s.read(t, "other.pub")+"x,y "+s.read(t, "other.pub")), "", "", false, nil, "line 2: no public key"},
		{"RevokedHostKeys " + s.path("nothing"), "", "", false, nil, "no such file"},
		{"HostKeyAlias none", "", "", false, ErrHostKey, "none is unknown"},
		{"HostKeyAlias none\nUserKnownHostsFile " + write(t, s.path("known_none"), "none "+s.read(t, "host.pub")), "", "", true, nil, ""},
		{"BindAddress none", "", "", false, nil, "BindAddress"},
		{"GlobalKnownHostsFile " + fromHome(t, write(t, s.path("global"), "@revoked * "+s.read(t, "host.pub"))), "", "", false, ErrHostKey, "revoked"},
		{"UserKnownHostsFile /dev/null\nGlobalKnownHostsFile " + fromHome(t, s.path("known_hosts")), "", "", true, nil, ""},
		{"UserKnownHostsFile " + s.path("known_hosts") + " global", "", "", false, ErrHostKey, "revoked"}, // a file of the directory in which we are
		{"UserKnownHostsFile " + s.path("nothing") + " known_hosts", "", "", true, nil, ""},
		{"UserKnownHostsFile \"" + write(t, s.path("known one"), s.read(t, "known_hosts")) + "\"", "", "", true, nil, ""},
		{"UserKnownHostsFile \"" + write(t, s.path("known  two x"), s.read(t, "known_hosts")) + "\" global", "", "", false, ErrHostKey, "revoked"},
		{"ConnectionAttempts 3\nTCPKeepAlive no", "", "", true, nil, ""},
		{"BindInterface lo", "", "", true, nil, ""},
		{"BindInterface nosuch0", "", "", false, nil, "nosuch0"},
	} {
		known, only := s.read(t, "known_hosts"), s.read(t, "authorized")
		if c.known != "" {
			write(t, s.path("known_hosts"), s.read(t, c.known))
		}
		if c.only != "" {
			write(t, s.path("authorized"), s.read(t, c.only))
		}
		err := s.dialWith(t, c.lines, nil)
		if (err == nil) != c.ok || err != nil && (!strings.Contains(err.Error(), c.said) || c.is != nil && !errors.Is(err, c.is)) {
			t.Errorf("%q: %v, want %q", c.lines, err, c.said)
		}
		if ssh := s.agreesWithSSH(t); ssh != c.ok {
			t.Errorf("%q: ssh logs in: %t", c.lines, ssh)
		}
		write(t, s.path("known_hosts"), known)
		write(t, s.path("authorized"), only)
	}
}

// A key that is revoked is refused however the user names it.
func TestRevokedAndPinned(t *testing.T) {
	s := startServer(t)
	line := "RevokedHostKeys " + write(t, s.path("revoked"), s.read(t, "host.pub"))
	key := publicKey(t, s.read(t, "host.pub"))
	for about, change := range map[string]func(*Options){
		"fingerprint": func(o *Options) { o.HostKey = ssh.FingerprintSHA256(key) },
		"promised":    func(o *Options) { o.Keys = []ssh.PublicKey{key} },
		"known":       func(o *Options) { o.KnownHosts = []string{s.path("known_hosts")} },
	} {
		if err := s.dialWith(t, "", change); err != nil {
			t.Errorf("%s: %v", about, err)
		}
		if err := s.dialWith(t, line, change); !errors.Is(err, ErrHostKey) {
			t.Errorf("%s, revoked: %v", about, err)
		}
	}
}

// Where BindInterface and BindAddress lead from is where it leads ssh from.
func TestBindInterface(t *testing.T) {
	program := judge.Tool(t, "ssh")
	interfaces := judge.Value(net.Interfaces())(t)
	for _, to := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", to)
		if err != nil {
			t.Logf("%s: %v", to, err)
			continue
		}
		defer l.Close()
		seen := make(chan string, 10)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				seen <- host
				c.Close()
			}
		}()
		from := func() string {
			select {
			case host := <-seen:
				return host
			default:
				return "nowhere"
			}
		}
		host, port, _ := net.SplitHostPort(l.Addr().String())
		lines := []string{"BindAddress 127.0.0.2", "BindAddress ::1", "BindAddress none"}
		for _, i := range interfaces {
			lines = append(lines, "BindInterface "+i.Name, "BindInterface "+i.Name+"\nBindAddress 127.0.0.2")
		}
		for _, lines := range lines {
			config := write(t, t.TempDir()+"/config", lines+"\n")
			exec.Command(program, "-F", config, "-o", "BatchMode=yes", "-p", port, "x@"+host).Run()
			want := from() // it has been hung up on
			if c, err := Dial(t.Context(), "x@"+net.JoinHostPort(host, port), Options{Config: config, HostKey: "SHA256:" + strings.Repeat("A", 43)}); err == nil {
				c.Close()
			}
			if got := from(); got != want {
				t.Errorf("%s to %s: from %s, ssh from %s", lines, host, got, want)
			}
			for from() != "nowhere" {
			}
		}
	}
}

// ConnectionAttempts are a second apart, and end with the first that stands.
func TestConnectionAttempts(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	addr := l.Addr().String()
	l.Close()
	o := s.good()
	o.Config = write(t, s.path("config"), "ConnectionAttempts 3\n")
	began := time.Now()
	if _, err := Dial(t.Context(), "bench@"+addr, o); !errors.Is(err, ErrUnreachable) || time.Since(began) < 2*attemptPause {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	o.Config = write(t, s.path("config"), "ConnectionAttempts 1000000\n")
	over := make(chan error, 1)
	go func() { _, err := Dial(ctx, "bench@"+addr, o); over <- err }()
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// BatchMode asks nobody; a wrong passphrase is asked for as often as NumberOfPasswordPrompts says.
func TestPassphraseOptions(t *testing.T) {
	for _, c := range []struct {
		lines   string
		answers string // one a question
		asked   int
		said    string // "": let in
	}{
		{"", "no no secret", 3, ""},
		{"", "no no no secret", 3, "does not open it"},
		{"NumberOfPasswordPrompts 1", "no secret", 1, "does not open it"},
		{"BatchMode yes", "secret", 0, "BatchMode yes"},
	} {
		s := startServer(t)
		s.keygen(t, "login", "-p", "-P", "", "-N", "secret")
		answers, asked := strings.Fields(c.answers), 0
		err := s.dialWith(t, c.lines, func(o *Options) {
			o.Ask = func(string) ([]byte, error) {
				asked++
				if asked > len(answers) {
					return nil, io.EOF
				}
				return []byte(answers[asked-1]), nil
			}
		})
		if asked != c.asked || (err == nil) != (c.said == "") || err != nil && !strings.Contains(err.Error(), c.said) {
			t.Errorf("%q: asked %d times, %v", c.lines, asked, err)
		}
	}
}

// CheckHostIP: another key that is known of the address refuses a good one of the name.
func TestCheckHostIP(t *testing.T) {
	good, other := ecdsaKey(t).PublicKey(), ecdsaKey(t).PublicKey()
	at := &net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 2222}
	config := write(t, t.TempDir()+"/config", "Host box loud\n HostName box.example.org\n Port 2222\n CheckHostIP yes\nHost quiet\n HostName box.example.org\n Port 2222\n CheckHostIP no\nHost jumped\n"+
		" HostName box.example.org\n Port 2222\n CheckHostIP yes\n ProxyJump box\nHost numbered\n HostName 192.0.2.7\n Port 2222\nHost mapped\n HostName ::ffff:192.0.2.7\n Port 2222\nHost bare\n"+
		" HostName box.example.org\n Port 2222\nHost digits\n HostName 192.0.2.7\n Port 2222\nHost *\n CheckHostIP yes\nHost * !bare !digits\n HostKeyAlias box\n")
	line := func(name string, key ssh.PublicKey) string { return name + " " + string(ssh.MarshalAuthorizedKey(key)) }
	name := line("box", good)
	for _, c := range []struct {
		target, known string
		from          net.Addr
		ok            bool
	}{
		{"box", name, at, true},
		{"box", name + line("[192.0.2.7]:2222", good), at, true},
		{"box", name + line("[192.0.2.7]:2222", other), at, false},
		{"box", name + line("192.0.2.7", other), at, true},
		{"box", name + line("[192.0.2.8]:2222", other), at, true},
		{"quiet", name + line("[192.0.2.7]:2222", other), at, true},
		{"jumped", name + line("[192.0.2.7]:2222", other), at, true},
		{"box", name + line("[127.0.0.1]:2222", other), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2222}, true},
		{"box", name + line("[192.0.2.7]:2222", other), &net.UnixAddr{}, true},
		{"box", line("box", other) + line("[192.0.2.7]:2222", good), at, false},
		{"numbered", name + line("[192.0.2.7]:2222", other), at, false}, // its alias is another name
		{"numbered", name + line("192.0.2.7", other), at, true},
		{"mapped", name + line("[192.0.2.7]:2222", other), at, true}, // the address is the one that was given
		{"mapped", name + line("[::ffff:192.0.2.7]:2222", other), at, false},
		{"bare", line("box.example.org", good) + line("[192.0.2.7]:2222", other), at, false},
		{"bare", line("box.example.org", good) + line("192.0.2.7", other), at, false}, // that name had no port, either
		{"bare", line("[box.example.org]:2222", good) + line("192.0.2.7", other), at, true},
		{"digits", line("192.0.2.7", good), at, true},
	} {
		s := judge.Value(resolveTarget(t.Context(), c.target, Options{Config: config}))(t)
		v := judge.Value(s.verdictFor(Options{KnownHosts: []string{write(t, t.TempDir()+"/known", c.known)}}))(t)
		if err := v.check(good, c.from); (err == nil) != c.ok {
			t.Errorf("%s from %v, with\n%s%v", c.target, c.from, c.known, err)
		}
	}
}

// A key exchange after each megabyte, both ways, is nothing to the server of the initramfs.
func TestRekeyLimit(t *testing.T) {
	s := startServer(t)
	addr, hostKey := s.dropbear(t)
	o := s.good()
	o.KnownHosts = []string{write(t, s.path("known_dropbear"), "* "+hostKey)}
	o.Config = write(t, s.path("config"), "RekeyLimit 1M\n")
	c := judge.Value(Dial(t.Context(), "root@"+addr, o))(t)
	defer c.Close()
	r, err := c.Run(t.Context(), "wc -c", io.LimitReader(endless{}, 16<<20))
	if err != nil || strings.TrimSpace(string(r.Stdout)) != "16777216" {
		t.Errorf("there: %q, %v", r.Stdout, err)
	}
	p := judge.Value(c.Start(t.Context(), "head -c 16777216 /dev/zero"))(t)
	if n, err := io.Copy(io.Discard, p.Stdout); n != 16<<20 || err != nil {
		t.Errorf("back: %d bytes, %v", n, err)
	}
	if exit, err := p.Wait(); exit != 0 || err != nil {
		t.Errorf("exit %d, %v", exit, err)
	}
}

// What a configuration has that cannot be read is told from what it has that is refused.
func TestUnreadConfig(t *testing.T) {
	dir := t.TempDir()
	bothWays(t, func(t *testing.T) {
		for text, unread := range map[string]bool{
			"Foo bar\n":                            true,
			"User \"me\n":                          true,
			"HostName a;b\n":                       true,
			"IdentityFile ${GROUNDHOG_NOT_SET}\n":  true,
			"RevokedHostKeys " + dir + "/none\n":   true,
			"PubkeyAuthentication no\n":            false,
			"ProxyUseFdpass yes\nProxyCommand x\n": false,
		} {
			if _, none := sshProgram(); none != nil && strings.Contains(text, "ProxyCommand") {
				continue
			}
			config := write(t, dir+"/config", text)
			_, err := Dial(t.Context(), "bench@127.0.0.1:1", Options{Config: config})
			if err == nil || errors.Is(err, ErrUnread) != unread {
				t.Errorf("%q: %v", text, err)
			}
		}
		if _, err := Dial(t.Context(), "bench@127.0.0.1:1", Options{Config: dir}); err == nil || !errors.Is(err, ErrUnread) {
			t.Errorf("a directory: %v", err)
		}
	})
}

// Of an address of a link it is said which interface is missing.
func TestLinkLocal(t *testing.T) {
	for target, c := range map[string]struct {
		said        string
		unreachable bool
	}{
		"root@fe80::1":               {"does not say of which", false},
		"root@[fe80::1%nosuch0]:22":  {"this machine has no interface nosuch0", true},
		"root@[fe80::1%99999999]:22": {"connect", true},
	} {
		_, err := Dial(t.Context(), target, Options{Config: "none", HostKey: "SHA256:" + strings.Repeat("A", 43)})
		if err == nil || !strings.Contains(err.Error(), c.said) || errors.Is(err, ErrUnreachable) != c.unreachable || (hint.Of(err) == "") != c.unreachable {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// fromHome is a file's name that begins with a ~.
func fromHome(t *testing.T, name string) string {
	t.Helper()
	return "~/" + judge.Value(filepath.Rel(judge.Value(whoAmI())(t).home, name))(t)
}

// The names of files that ssh -G prints on one line are told apart by what is there; what may mean two things is refused by the option's name.
func TestSplitFiles(t *testing.T) {
	me := localUser{home: t.TempDir()}
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"a", "a b", "c d  e", "f", "g h", "h"} {
		write(t, dir+"/"+name, "")
	}
	write(t, me.home+"/x y", "")
	for value, want := range map[string][]string{
		"/n1 /n2":                       {"/n1", "/n2"},
		"~/x y ~/z":                     {"~/x y", "~/z"},
		"/n1 n2":                        {"/n1 n2"}, // neither is there
		"/n1 f":                         {"f"},
		dir + "/f f":                    {dir + "/f", "f"},
		dir + "/c d  e /n":              {dir + "/c d  e", "/n"},
		dir + "/a b":                    nil, // a file, and two words of which one is a file
		dir + "/g h":                    nil, // the other one is
		"f":                             {"f"},
		"n":                             {"n"},
		"/dev/null f":                   {"/dev/null", "f"},
		dir + " f":                      {"f"}, // a directory is none
		"/n" + strings.Repeat(" n", 20): nil,
	} {
		for _, name := range listOptions {
			option := strings.ToLower(name)
			a := configAnswers{option: {value}}
			err := a.splitLists(me)
			switch refused := (refusedOption{}); {
			case want == nil && (!errors.As(err, &refused) || refused.name != name || hint.Of(err) == ""):
				t.Errorf("%q: %q, %v", value, a[option], err)
			case want != nil && (err != nil || !slices.Equal(a[option], want)):
				t.Errorf("%q: %q, %v, want %q", value, a[option], err, want)
			}
		}
	}
}

// A user, or a host, may be called none.
func TestCalledNone(t *testing.T) {
	config := write(t, t.TempDir()+"/config", "Host none\n User none\nHost a\n HostName none\n ProxyJump none\n ProxyCommand none\n")
	bothWays(t, func(t *testing.T) {
		for target, want := range map[string]string{"none": "none@none:22", "none@none": "none@none:22", "none@a": "none@none:22", "me@a:77": "me@none:77"} {
			s, err := resolveTarget(t.Context(), target, Options{Config: config})
			if err != nil || s.Target.String() != want || s.jump != "" || s.proxy != "" {
				t.Errorf("%s: %+v, %v", target, s, err)
			}
		}
	})
}

// A private key that others may read is none, as to ssh.
func TestSharedIdentity(t *testing.T) {
	s := startServer(t)
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o610: false} {
		judge.Must(t, os.Chmod(s.path("login"), mode))
		err := s.dialWith(t, "", nil)
		if (err == nil) != ok || !ok && (!errors.Is(err, ErrAuth) || !strings.Contains(err.Error(), fmt.Sprintf("others may read it (mode %#o", mode))) {
			t.Errorf("%#o: %v", mode, err)
		}
		if ssh := s.agreesWithSSH(t); ssh != ok {
			t.Errorf("%#o: ssh logs in: %t", mode, ssh)
		}
		if err := CheckIdentity(t.Context(), s.path("login")); (err == nil) != ok {
			t.Errorf("%#o: %v", mode, err)
		}
		if err := CheckIdentity(t.Context(), s.path("login.pub")); err != nil {
			t.Error(err)
		}
	}
}
