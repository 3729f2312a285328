package device

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"groundhog/cmd/internal/hint"
)

// Encrypted keys are asked for when the server wants them, and only then; a person's time does not count.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.keygen(t, "new", "-t", "ed25519", "-N", "secret")
	s.keygen(t, "old", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret")
	s.keygen(t, "slow", "-t", "ed25519", "-N", "secret")
	s.keygen(t, "lonely", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret")
	os.Remove(s.path("lonely.pub"))
	write(t, s.path("authorized"), s.read(t, "new.pub")+s.read(t, "old.pub")+s.read(t, "slow.pub"))
	tell := func(pass string, after time.Duration) func(string) ([]byte, error) {
		return func(string) ([]byte, error) {
			<-time.After(after)
			return []byte(pass), nil
		}
	}
	for _, c := range []struct {
		about, name string
		ask         func(string) ([]byte, error)
		asked       int
		err         string
	}{
		{"nobody to ask", "new", nil, 0, "no terminal"},
		{"no answer", "new", func(string) ([]byte, error) { return nil, io.EOF }, 1, "asking for the passphrase"},
		{"wrong", "new", tell("sceret", 0), 3, "does not open it"},
		{"right", "new", tell("secret", 0), 1, ""},
		{"known by now", "new", tell("sceret", 0), 0, ""},
		{"PEM", "old", tell("secret", 0), 1, ""},
		{"slow to type", "slow", tell("secret", 3*time.Second), 1, ""},
		{"which key is it", "lonely", tell("secret", 0), 0, "no public half beside it"},
	} {
		asked := 0
		o := s.good()
		o.Identities, o.ConnectTimeout = []string{s.path(c.name)}, 2*time.Second
		if c.ask != nil {
			o.Ask = func(prompt string) ([]byte, error) {
				asked++
				if !strings.Contains(prompt, s.path(c.name)) {
					t.Errorf("%s: asks %q", c.about, prompt)
				}
				return c.ask(prompt)
			}
		}
		client, err := Dial(t.Context(), s.target(), o)
		if client != nil {
			client.Close()
		}
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.about, err, c.err)
		}
		if asked != c.asked {
			t.Errorf("%s: asked %d times, want %d", c.about, asked, c.asked)
		}
		if c.ask == nil && !strings.Contains(hint.Of(err), "ssh-add "+Quote(s.path("new"))) {
			t.Errorf("%s: hint %q", c.about, hint.Of(err))
		}
	}
}

// A list of identities, and a key that the server does not want, ask nobody.
func TestEncryptedUnasked(t *testing.T) {
	s := startServer(t)
	s.keygen(t, "new", "-t", "ed25519", "-N", "secret")
	o := s.good()
	o.Identities = []string{s.path("other"), s.path("new")}
	o.Ask = func(string) ([]byte, error) { t.Error("asks"); return nil, io.EOF }
	ids, err := Identities(t.Context(), s.target(), o)
	if err != nil || len(ids) != 2 || line(ids[1].Key) != line(publicKey(t, s.read(t, "new.pub"))) || ids[1].From != s.path("new") {
		t.Errorf("identities: %v, %v", ids, err)
	}
	if _, err := Dial(t.Context(), s.target(), o); !errors.Is(err, ErrAuth) {
		t.Errorf("a key that the server does not want: %v", err)
	}
}

// A question that nobody answers ends with the context.
func TestEncryptedUnanswered(t *testing.T) {
	s := startServer(t)
	s.keygen(t, "login", "-p", "-P", "", "-N", "secret")
	never := make(chan struct{})
	defer close(never)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := s.good()
	o.Ask = func(string) ([]byte, error) { cancel(); <-never; return nil, io.EOF }
	err := within(t, "the end", func() error { _, err := Dial(ctx, s.target(), o); return err })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
