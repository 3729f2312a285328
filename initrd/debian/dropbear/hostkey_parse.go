package dropbear

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// MaxHostKeySize is the largest host key file dropbear reads, in bytes
// (MAX_PRIVKEY_SIZE in sysoptions.h, the same in all four versions). An rsa key
// of 4096 bits takes 1573. As everything is checked against it first, it also
// bounds the arithmetic a hostile file can ask for.
const MaxHostKeySize = 1700

var (
	errHalves = errors.New("public and private half do not belong together, or a number is not in its shortest form")
	errDSS    = errors.New("ssh-dss keys are not supported (newer versions of dropbear have dropped them)")
)

// The wire forms of RFC 8709, 5656 and 4253, each with dropbear's private part.
type (
	wireEd25519 struct {
		Type string
		Key  []byte // seed, public key
	}
	wireECDSA struct {
		Type, Curve string
		Point       []byte // uncompressed
		D           *big.Int
	}
	wireRSA struct {
		Type          string
		E, N, D, P, Q *big.Int
	}
)

// ParseHostKey reads a host key in dropbear's format. Marshal of what it returns
// equals b.
func ParseHostKey(b []byte) (*HostKey, error) {
	k, err := parseHostKey(b)
	if err != nil {
		return nil, fmt.Errorf("parsing dropbear host key: %w", err)
	}
	return k, nil
}

func parseHostKey(b []byte) (*HostKey, error) {
	if len(b) > MaxHostKeySize {
		return nil, fmt.Errorf("%d bytes: dropbear reads at most %d", len(b), MaxHostKeySize)
	}
	var head struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(b, &head); err != nil {
		return nil, errors.New("cut off, or not dropbear's format")
	}
	var key any
	var err error
	switch head.Type {
	case ssh.KeyAlgoED25519:
		key, err = readEd25519(b)
	case ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		key, err = readECDSA(b)
	case ssh.KeyAlgoRSA:
		key, err = readRSA(b)
	case ssh.InsecureKeyAlgoDSA:
		err = errDSS
	default:
		err = errors.New("not dropbear's format, or a kind of key that it does not have")
	}
	if err != nil {
		return nil, err
	}
	k, err := fromPrivate(key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.secret(), b) {
		return nil, errHalves
	}
	return k, nil
}

func readEd25519(b []byte) (any, error) {
	var w wireEd25519
	if err := ssh.Unmarshal(b, &w); err != nil || len(w.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("ed25519 key cut off, too long or with bytes behind it")
	}
	return ed25519.PrivateKey(w.Key), nil
}

func readECDSA(b []byte) (any, error) {
	var w wireECDSA
	if err := ssh.Unmarshal(b, &w); err != nil {
		return nil, errors.New("ecdsa key cut off or with bytes behind it")
	}
	curve := ecdsaCurves[w.Type]
	size := (curve.Params().BitSize + 7) / 8
	if w.D.Sign() <= 0 || w.D.BitLen() > 8*size {
		return nil, errors.New("ecdsa key: private number out of range")
	}
	// Derives the public half from d; the comparison at the end of parseHostKey
	// then holds it against the one in the file.
	return ecdsa.ParseRawPrivateKey(curve, w.D.FillBytes(make([]byte, size)))
}

func readRSA(b []byte) (any, error) {
	var w wireRSA
	if err := ssh.Unmarshal(b, &w); err != nil {
		return nil, errors.New("rsa key cut off or with bytes behind it")
	}
	if w.E.Sign() <= 0 || w.E.BitLen() > 24 {
		return nil, errors.New("rsa key: public exponent out of range")
	}
	return &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: w.N, E: int(w.E.Int64())},
		D:         w.D,
		Primes:    []*big.Int{w.P, w.Q},
	}, nil
}

var ecdsaCurves = map[string]elliptic.Curve{
	ssh.KeyAlgoECDSA256: elliptic.P256(),
	ssh.KeyAlgoECDSA384: elliptic.P384(),
	ssh.KeyAlgoECDSA521: elliptic.P521(),
}
