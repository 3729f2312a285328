package device

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
)

// keygen makes a key in the server's directory.
func (s *server) keygen(t *testing.T, name string, args ...string) {
	t.Helper()
	args = append([]string{"-q", "-C", name, "-f", s.path(name)}, args...)
	judge.Run(t, exec.Command(judge.Tool(t, "ssh-keygen"), args...))
}

// startAgent runs OpenSSH's agent with keys of the server's directory.
func (s *server) startAgent(t *testing.T, keys ...string) {
	t.Helper()
	socket := s.path("agent")
	cmd := exec.Command(judge.Tool(t, "ssh-agent"), "-D", "-a", socket)
	judge.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	t.Setenv("SSH_AUTH_SOCK", socket)
	judge.Until(t, "the agent answers", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	for _, key := range keys {
		judge.Run(t, exec.Command(judge.Tool(t, "ssh-add"), s.path(key)))
	}
}

// Which of the agent's keys and of the files are tried, and in which order. The server takes no more than two failures, and
// x/crypto's does not count the first two questions about a key.
func TestAgent(t *testing.T) {
	s := startServer(t, func(c *ssh.ServerConfig) { c.MaxAuthTries = 2 })
	many := []string{"k1", "k2", "k3", "k4", "k5"}
	for _, k := range many {
		s.keygen(t, k, "-t", "ed25519", "-N", "")
	}
	s.keygen(t, "locked", "-t", "ed25519", "-N", "secret")
	s.startAgent(t, append(many, "login")...)
	pub := write(t, s.path("half.pub"), s.read(t, "login.pub")) // there is no file "half"
	for about, c := range map[string]struct {
		config     string
		identities []string
		fails      bool
		tried      string // the first key
	}{
		"too many":           {"", nil, true, "k1"},
		"named":              {"", []string{s.path("login")}, false, "login"},
		"named by its half":  {"", []string{pub}, false, "login"},
		"configured":         {"IdentityFile " + s.path("login"), nil, false, "login"},
		"half, configured":   {"IdentityFile " + pub, nil, false, "login"},
		"no file, but .pub":  {"IdentityFile " + s.path("half"), nil, false, "login"},
		"only configured":    {"IdentitiesOnly yes\nIdentityFile " + pub, nil, false, "login"},
		"only, and not it":   {"IdentitiesOnly yes\nIdentityFile " + s.path("k2.pub"), nil, true, "k2"},
		"no agent":           {"IdentityAgent none\nIdentityFile " + s.path("login"), nil, false, "login"},
		"no agent, half":     {"IdentityAgent none\nIdentityFile " + pub, nil, true, ""},
		"agent by its name":  {"IdentityAgent " + s.path("agent") + "\nIdentityFile " + pub, nil, false, "login"},
		"another agent":      {"IdentityAgent " + s.path("nobody") + "\nIdentityFile " + s.path("login"), nil, false, "login"},
		"locked, configured": {"IdentitiesOnly yes\nIdentityFile " + s.path("locked") + "\nIdentityFile " + pub, nil, false, "login"},
	} {
		os.Remove(s.path("tried"))
		o := Options{Config: write(t, s.path("config"), c.config), Identities: c.identities, KnownHosts: []string{s.path("known_hosts")}}
		client, err := Dial(t.Context(), s.target(), o)
		if client != nil {
			client.Close()
		}
		if (err != nil) != c.fails || c.fails && (!errors.Is(err, ErrAuth) || hint.Of(err) == "") {
			t.Errorf("%s: %v", about, err)
		}
		tried, _ := os.ReadFile(s.path("tried"))
		first, _, _ := strings.Cut(string(tried), "\n")
		if c.tried != "" && !strings.HasPrefix(s.read(t, c.tried+".pub"), first) || c.tried == "" && first != "" {
			t.Errorf("%s: %q was tried first, want %s", about, first, c.tried)
		}
	}
}

// An agent that holds the key of an encrypted file saves the question.
func TestEncryptedInAgent(t *testing.T) {
	s := startServer(t)
	s.startAgent(t, "login")
	s.keygen(t, "login", "-p", "-P", "", "-N", "secret")
	c := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
	c.Close()
}

// strangeAgent lists a key and does something else than sign with it.
type strangeAgent struct {
	agent.Agent
	list, sign func()
}

func (a *strangeAgent) List() ([]*agent.Key, error) {
	a.list()
	return a.Agent.List()
}

func (a *strangeAgent) Sign(ssh.PublicKey, []byte) (*ssh.Signature, error) {
	a.sign()
	return nil, errors.New("refused")
}

func (s *server) serveAgent(t *testing.T, list, sign func()) {
	private := judge.Value(ssh.ParseRawPrivateKey([]byte(s.read(t, "login"))))(t)
	ring := agent.NewKeyring()
	judge.Must(t, ring.Add(agent.AddedKey{PrivateKey: private}))
	l := judge.Value(net.Listen("unix", s.path("agent")))(t)
	t.Cleanup(func() { l.Close() })
	t.Setenv("SSH_AUTH_SOCK", s.path("agent"))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(&strangeAgent{ring, list, sign}, c)
		}
	}()
}

// A broken agent is said, and never hangs us.
func TestStrangeAgents(t *testing.T) {
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	t.Run("refuses", func(t *testing.T) {
		s := startServer(t)
		s.serveAgent(t, func() {}, func() {})
		o := s.good()
		o.Identities = nil
		if _, err := Dial(t.Context(), s.target(), o); err == nil || !strings.Contains(err.Error(), "the agent does not sign with SHA256:") {
			t.Error(err)
		}
	})
	t.Run("never signs", func(t *testing.T) {
		s := startServer(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.serveAgent(t, func() {}, func() { cancel(); <-never })
		o := s.good()
		o.Identities = nil
		if _, err := Dial(ctx, s.target(), o); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("never lists", func(t *testing.T) {
		s := startServer(t)
		s.serveAgent(t, func() { <-never }, func() {})
		o := s.good()
		o.ConnectTimeout = 2 * time.Second
		c, err := Dial(t.Context(), s.target(), o)
		if err != nil {
			t.Fatalf("with a key of a file: %v", err)
		}
		c.Close()
		ids, err := Identities(t.Context(), s.target(), o)
		if err != nil || !slices.ContainsFunc(ids, func(id Identity) bool { return id.From == s.path("login") }) {
			t.Errorf("%v, %v", ids, err)
		}
	})
}
