package device

import (
	"io"

	"golang.org/x/crypto/ssh"
)

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

// remember makes signers leave the error of a signature in err: the library
// says no more than that authentication failed.
func remember(signers []ssh.Signer, err *error) []ssh.Signer {
	var all []ssh.Signer
	for _, s := range signers {
		if k, ok := s.(*lockedKey); ok {
			s = &toldKey{k, err}
		}
		all = append(all, s)
	}
	return all
}

type toldKey struct {
	*lockedKey
	err *error
}

func (k *toldKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	sig, err := k.lockedKey.Sign(rand, data)
	*k.err = err
	return sig, err
}

func (k *toldKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	sig, err := k.lockedKey.SignWithAlgorithm(rand, data, algorithm)
	*k.err = err
	return sig, err
}
