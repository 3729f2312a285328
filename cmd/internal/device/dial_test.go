package device

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
)

// good is how the server is reached and known.
func (s *server) good() Options {
	return Options{Config: "none", Identities: []string{s.path("login")}, KnownHosts: []string{s.path("known_hosts")}}
}

func TestDialHostKeys(t *testing.T) {
	s := startServer(t)
	_, port, _ := net.SplitHostPort(s.addr)
	write(t, s.path("known_other"), "[127.0.0.1]:"+port+" "+s.read(t, "other.pub"))
	write(t, s.path("known_none"), "")
	fingerprint := ssh.FingerprintSHA256(publicKey(t, s.read(t, "host.pub")))
	for name, c := range map[string]struct {
		change func(*Options)
		err    error
		said   string
	}{
		"known":             {func(o *Options) {}, nil, ""},
		"unknown":           {func(o *Options) { o.KnownHosts = []string{s.path("known_none")} }, ErrHostKey, ""},
		"no file":           {func(o *Options) { o.KnownHosts = []string{s.path("nothing")} }, os.ErrNotExist, "known_hosts"},
		"changed":           {func(o *Options) { o.KnownHosts = []string{s.path("known_other")} }, ErrHostKey, ""},
		"fingerprint":       {func(o *Options) { o.HostKey = fingerprint }, nil, ""},
		"other fingerprint": {func(o *Options) { o.HostKey = "SHA256:" + strings.Repeat("A", 43) }, ErrHostKey, "fingerprint"},
		"promised":          {func(o *Options) { o.Keys = []ssh.PublicKey{publicKey(t, s.read(t, "host.pub"))} }, nil, ""},
		"promised another":  {func(o *Options) { o.Keys = []ssh.PublicKey{publicKey(t, s.read(t, "other.pub"))} }, ErrHostKey, ""},
		"no login":          {func(o *Options) { o.Identities = []string{s.path("other")} }, ErrAuth, "SHA256:"},
		"nothing held":      {func(o *Options) { o.Identities = nil }, ErrAuth, "none"},
		"no such identity":  {func(o *Options) { o.Identities = []string{s.path("nothing")} }, os.ErrNotExist, "nothing"},
	} {
		o := s.good()
		c.change(&o)
		client, err := Dial(t.Context(), s.target(), o)
		if client != nil {
			client.Close()
		}
		if (err == nil) != (c.err == nil) || !errors.Is(err, c.err) || c.said != "" && !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.err, c.said)
		}
		if errors.Is(err, ErrHostKey) && hint.Of(err) == "" {
			t.Errorf("%s: %v: does not say what to do", name, err)
		}
	}
}

// benchConfig is a configuration in which each name that begins with bench- leads to the server; more comes behind that.
func (s *server) benchConfig(t *testing.T, more string) (file string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.addr)
	return write(t, s.path("config"), `Host bench-*
  HostName `+host+`
  Port `+port+`
  User bench
  IdentityFile `+s.path("login")+`
  UserKnownHostsFile `+s.path("known_hosts")+`
`+more)
}

func TestDialConfig(t *testing.T) {
	s := startServer(t)
	config := s.benchConfig(t, `Host bench-behind
  ProxyJump bench-1
`)
	for _, target := range []string{"bench-1", "bench-behind"} {
		c, err := Dial(t.Context(), target, Options{Config: config})
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if out, err := c.Output(t.Context(), "echo $0 hello"); err != nil || !strings.Contains(out, "hello") {
			t.Errorf("%s: %q, %v", target, out, err)
		}
		c.Close()
	}
}

func TestRun(t *testing.T) {
	s := startServer(t)
	c := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
	defer c.Close()
	r, err := c.Run(t.Context(), "cat; echo oh no >&2; exit 7", strings.NewReader("in"))
	if err != nil || string(r.Stdout) != "in" || r.Exit != 7 || !strings.Contains(r.Err("trying").Error(), "trying: exit 7 on the device: oh no") {
		t.Errorf("%+v, %v, %v", r, err, r.Err("trying"))
	}
	nasty := "a 'b' \"c\" $(id) `id` \\ \n*;&"
	program := `printf '%s|%s|' "$1" "$2"; cat`
	r, err = c.Script(t.Context(), program+strings.Repeat(" ", 20000), strings.NewReader("rest\n"), nasty, "")
	if want := nasty + "||rest\n"; err != nil || string(r.Stdout) != want {
		t.Errorf("a long program with words: %q, %v; want %q", r.Stdout, err, want)
	}
	if _, err := c.Run(t.Context(), "head -c 5000000 /dev/zero", nil); err == nil {
		t.Error("an endless answer was taken")
	}
	p := judge.Value(c.Start(t.Context(), "read line; echo got $line"))(t)
	io.WriteString(p.Stdin, "it\n")
	out, _ := io.ReadAll(p.Stdout)
	if exit, err := p.Wait(); string(out) != "got it\n" || exit != 0 || err != nil {
		t.Errorf("%q, %d, %v", out, exit, err)
	}
}

// A peer that does not answer any more is noticed, in a command and while dialing.
func TestSilent(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := judge.Value(link.New(s.addr))(t)
	defer l.Close()
	o := s.good()
	o.KnownHosts, o.Keys = nil, []ssh.PublicKey{publicKey(t, s.read(t, "host.pub"))}
	o.ConnectTimeout, o.Keepalive, o.Silence = 2*time.Second, 100*time.Millisecond, time.Second
	target := "bench@" + l.Addr()
	c := judge.Value(Dial(t.Context(), target, o))(t)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := c.Run(ctx, "sleep 60", nil)
		done <- err
	}()
	l.Cut()
	if err := <-done; !errors.Is(err, ErrSilent) {
		t.Errorf("a command: %v, want ErrSilent", err)
	}
	if _, err := Dial(ctx, target, o); err == nil || !strings.Contains(err.Error(), "no answer within 2s") {
		t.Errorf("dialing: %v", err)
	}
}

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]string{
		"host": "host", "root@host:2222": "root@host:2222", "h:0022": "h:22", "[::1]:022": "[::1]:22", "ssh://h:022": "h:22", "::1": "[::1]", "u@[fe80::1%eth0]:22": "u@[fe80::1%eth0]:22",
		"me@example.org@host": "me@example.org@host", "ssh://a+b@host:22": "a+b@host:22", `DOM\me@host`: `DOM\me@host`, "@host": "", "-a@b@host": "",
		"ssh://host": "host", "ssh://me@host:2222/": "me@host:2222", "ssh://[::1]:22": "[::1]:22", "ssh://[::1]": "[::1]",
		"ssh://::1": "", "ssh://host/path": "", "ssh://": "", "ssh://-x": "", "http://host": "", "ssh://ssh://host": "",
		"-oProxyCommand=x": "", "a b": "", "h:0": "", "h:70000": "", "": "", "u@": "", "h;id": "", "$(id)@h": "", "[::1": "",
	} {
		got, err := ParseTarget(in)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v; want %q", in, got, err, want)
		}
	}
}
