package device

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
)

// lockedKey is an encrypted private key.
type lockedKey struct {
	ctx    context.Context // frees who waits for a person
	name   string
	pem    []byte
	public ssh.PublicKey
	ask    func(string) ([]byte, error)
	tries  int  // how often a wrong passphrase is asked for
	batch  bool // the configuration forbids to ask
}

// unlockedKeys are the keys that this process has opened, by what their files hold: a passphrase is asked
// for once, however many devices are dialed and however often, as while waiting for one that reboots.
var (
	unlockedKeys sync.Map                 // string(pem) to ssh.AlgorithmSigner
	askingTurn   = make(chan struct{}, 1) // taken by who asks: one question at a time
)

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *lockedKey) unlock() (ssh.AlgorithmSigner, error) {
	select {
	case askingTurn <- struct{}{}:
	case <-k.ctx.Done():
		return nil, k.ctx.Err()
	}
	defer func() { <-askingTurn }()
	if open, ok := unlockedKeys.Load(string(k.pem)); ok {
		return open.(ssh.AlgorithmSigner), nil
	}
	if k.ask == nil {
		why := "there is no terminal to ask for its passphrase"
		if k.batch {
			why = "the configuration has BatchMode yes, which forbids to ask for its passphrase"
		}
		return nil, hint.To(fmt.Errorf("identity %s is encrypted and %s", k.name, why), "ssh-add "+Quote(k.name)+" gives it to the agent")
	}
	var signer ssh.Signer
	for try := 1; signer == nil; try++ {
		pass, err := k.askPassphrase()
		if err != nil {
			return nil, fmt.Errorf("asking for the passphrase of %s: %w", k.name, err)
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(k.pem, pass)
		if err != nil && (try >= k.tries || len(pass) == 0) { // who says nothing wants no further question, as of ssh
			return nil, fmt.Errorf("identity %s: the passphrase does not open it", k.name)
		}
	}
	open, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("identity %s: not a key that can sign here", k.name)
	}
	unlockedKeys.Store(string(k.pem), open)
	return open, nil
}

// askPassphrase asks, and leaves the question alone when ctx ends: nobody can interrupt a read from a terminal.
func (k *lockedKey) askPassphrase() ([]byte, error) {
	type answer struct {
		pass []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		pass, err := k.ask("passphrase for " + k.name + ": ")
		answered <- answer{pass, err}
	}()
	select {
	case a := <-answered:
		return a.pass, a.err
	case <-k.ctx.Done():
		return nil, k.ctx.Err()
	}
}

// Sign makes lockedKey an ssh.Signer.
func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	open, err := k.unlock()
	if err != nil {
		return nil, err
	}
	return open.Sign(rand, data)
}

// SignWithAlgorithm makes it sign with SHA-2 where the key is RSA.
func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	open, err := k.unlock()
	if err != nil {
		return nil, err
	}
	return open.SignWithAlgorithm(rand, data, algorithm)
}

// confirmTime bounds a person's answer to the agent's question (ssh-add -c, a key to touch).
const confirmTime = time.Minute

// attendedSigners are h's signers. A person may be asked in the middle of a signature, whose time is not the
// device's: pause stops that clock and returns what sets it going. The error of a signature is left in err: the
// library says no more than that authentication failed.
func (h *heldIdentities) attendedSigners(pause func() func(), err *error, g *agreedAlgorithms) []ssh.Signer {
	var all []ssh.Signer
	for i, s := range h.signers {
		all = append(all, g.restrictRSA(&attendedKey{s, h, h.ids[i].From, pause, err}))
	}
	return all
}

type attendedKey struct {
	ssh.AlgorithmSigner
	held  *heldIdentities
	from  string
	pause func() func()
	err   *error
}

func (k *attendedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	defer k.pause()()
	if k.held.agent != nil {
		k.held.agent.SetDeadline(time.Now().Add(confirmTime))
	}
	sig, err := k.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	if err != nil && k.from == "agent" {
		err = fmt.Errorf("the agent does not sign with %s: %s", ssh.FingerprintSHA256(k.PublicKey()), strings.TrimPrefix(err.Error(), "agent: "))
	}
	*k.err = err
	return sig, err
}

func (k *attendedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}
