package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// An Identity is a key that we hold.
type Identity struct {
	Key  ssh.PublicKey
	From string // its file, or "agent"
}

// held is identities with what signs for them; close drops the agent.
type held struct {
	signers []ssh.Signer
	ids     []Identity
	agent   net.Conn
	trouble []string // files that could not be used, with the reason
}

func (h *held) close() {
	if h.agent != nil {
		h.agent.Close()
	}
}

// Identities says which keys would be tried for a target, without asking for
// a passphrase.
func Identities(ctx context.Context, target string, o Options) ([]Identity, error) {
	s, err := resolve(target, o)
	if err != nil {
		return nil, err
	}
	h, err := s.hold(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	defer h.close()
	return h.ids, nil
}

// hold collects what we hold, in the order in which it is tried: a server lets only a few
// be tried (sshd_config(5), MaxAuthTries), so what the user named comes first.
func (s *settings) hold(ctx context.Context, o Options, ask func(string) ([]byte, error)) (*held, error) {
	h := &held{}
	for _, f := range o.Identities {
		if err := h.file(f, ask); err != nil {
			return nil, fmt.Errorf("reading identity %s: %w", f, err)
		}
	}
	var configured held
	for _, f := range s.identities {
		if err := configured.file(f, ask); err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.trouble = append(h.trouble, fmt.Sprintf("%s: %v", f, err))
		}
	}
	if s.agent != "" {
		h.fromAgent(ctx, s, o, &configured)
	}
	for i, signer := range configured.signers {
		h.add(signer, configured.ids[i].From)
	}
	return h, nil
}

func (h *held) add(signer ssh.Signer, from string) {
	if slices.ContainsFunc(h.ids, func(id Identity) bool {
		return string(id.Key.Marshal()) == string(signer.PublicKey().Marshal())
	}) {
		return
	}
	h.signers = append(h.signers, signer)
	h.ids = append(h.ids, Identity{signer.PublicKey(), from})
}

// fromAgent adds the agent's keys; with IdentitiesOnly those of configured files alone. An agent
// that is gone is as none.
func (h *held) fromAgent(ctx context.Context, s *settings, o Options, configured *held) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", s.agent)
	if err != nil {
		h.trouble = append(h.trouble, fmt.Sprintf("agent: %v", err))
		return
	}
	h.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		h.trouble = append(h.trouble, fmt.Sprintf("agent: %v", err))
		return
	}
	wanted := slices.Concat(h.ids, configured.ids)
	for _, signer := range signers {
		if s.identitiesOnly && !slices.ContainsFunc(wanted, func(id Identity) bool {
			return string(id.Key.Marshal()) == string(signer.PublicKey().Marshal())
		}) {
			continue
		}
		h.add(signer, "agent")
	}
}

// file adds a private key's file. An encrypted one is opened only when a server wants it.
func (h *held) file(name string, ask func(string) ([]byte, error)) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		public := locked.PublicKey
		if public == nil {
			if public, err = publicHalf(name); err != nil {
				return err
			}
		}
		h.add(&lockedKey{name: name, pem: b, public: public, ask: ask}, name)
		return nil
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "ssh: "))
	}
	h.add(signer, name)
	return nil
}

// publicHalf reads FILE.pub: the old PEM form hides the public key, too.
func publicHalf(name string) (ssh.PublicKey, error) {
	b, err := os.ReadFile(name + ".pub")
	if err != nil {
		return nil, fmt.Errorf("encrypted, and no public half beside it: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(b)
	return key, err
}

// lockedKey is an encrypted private key; its passphrase is asked for once.
type lockedKey struct {
	name   string
	pem    []byte
	public ssh.PublicKey
	ask    func(string) ([]byte, error)
	open   ssh.AlgorithmSigner
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *lockedKey) unlock() error {
	if k.open != nil {
		return nil
	}
	if k.ask == nil {
		return hint(fmt.Errorf("identity %s is encrypted and there is no terminal to ask for its passphrase", k.name), "ssh-add "+Quote(k.name)+" gives it to the agent")
	}
	pass, err := k.ask("passphrase for " + k.name + ": ")
	if err != nil {
		return fmt.Errorf("asking for the passphrase of %s: %w", k.name, err)
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(k.pem, pass)
	if err != nil {
		return fmt.Errorf("identity %s: the passphrase does not open it", k.name)
	}
	open, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return fmt.Errorf("identity %s: not a key that can sign here", k.name)
	}
	k.open = open
	return nil
}
