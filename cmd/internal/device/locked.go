package device

import (
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

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

// Sign makes lockedKey an ssh.Signer.
func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	if err := k.unlock(); err != nil {
		return nil, err
	}
	return k.open.Sign(rand, data)
}

// SignWithAlgorithm makes it sign with SHA-2 where the key is RSA.
func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if err := k.unlock(); err != nil {
		return nil, err
	}
	return k.open.SignWithAlgorithm(rand, data, algorithm)
}

// confirmTime bounds a person's answer to the agent's question (ssh-add -c, a key to touch).
const confirmTime = time.Minute

// attended are h's signers. A person may be asked in the middle of a signature, whose time is not the
// device's: pause stops that clock and returns what sets it going. The error of a signature is left in err: the
// library says no more than that authentication failed.
func (h *held) attended(pause func() func(), err *error) []ssh.Signer {
	var all []ssh.Signer
	for i, s := range h.signers {
		all = append(all, &attendedKey{s, h, h.ids[i].From, pause, err})
	}
	return all
}

type attendedKey struct {
	ssh.AlgorithmSigner
	held  *held
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
