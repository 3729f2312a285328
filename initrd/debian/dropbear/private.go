package dropbear

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// maxPrivateFile bounds what ParsePrivateKey looks at, in bytes: an rsa key of
// 16384 bits, OpenSSH's largest, takes some 12,500.
const maxPrivateFile = 16 << 10

// ParsePrivateKey reads a private key in whatever form it comes, told apart by
// content: dropbear's, OpenSSH's, or PEM (PKCS #1, SEC 1, PKCS #8). An encrypted
// key, and one that dropbear could not use, is refused with what to do.
func ParsePrivateKey(b []byte) (*HostKey, error) {
	if len(b) > 0 && b[0] == 0 {
		return ParseHostKey(b)
	}
	k, err := parsePEM(b)
	if err != nil {
		return nil, fmt.Errorf("parsing private key: %w", err)
	}
	return k, nil
}

func parsePEM(b []byte) (*HostKey, error) {
	if len(b) > maxPrivateFile {
		return nil, fmt.Errorf("%d bytes: more than any ssh key takes (%d)", len(b), maxPrivateFile)
	}
	if bytes.HasPrefix(b, []byte("PuTTY-User-Key-File")) {
		return nil, errors.New("a PuTTY key: convert it first (puttygen FILE -O private-openssh -o COPY)")
	}
	block, _ := pem.Decode(b)
	if block == nil {
		if _, _, _, _, err := ssh.ParseAuthorizedKey(b); err == nil {
			return nil, errors.New("a public key: its private half is wanted (the file without .pub)")
		}
		return nil, errors.New("neither dropbear's, OpenSSH's nor PEM's format")
	}
	var locked *ssh.PassphraseMissingError
	key, err := ssh.ParseRawPrivateKey(b)
	switch {
	case errors.As(err, &locked), block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is encrypted, and nobody types a passphrase in an initramfs: " +
			"remove it from a copy (ssh-keygen -p -N '' -f COPY)")
	case IsDSS(b):
		return nil, errDSS
	case err != nil:
		return nil, err
	}
	return fromPrivate(key)
}

// fromPrivate checks that a key is whole and puts it in dropbear's form.
func fromPrivate(key any) (*HostKey, error) {
	var wire any
	var public any
	var err error
	switch k := key.(type) {
	case *ed25519.PrivateKey:
		return fromPrivate(*k)
	case ed25519.PrivateKey:
		public = k.Public()
		wire, err = wireOfEd25519(k)
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
		wire, err = wireOfECDSA(k)
	case *rsa.PrivateKey:
		public = &k.PublicKey
		wire, err = wireOfRSA(k)
	default:
		err = errors.New("a kind of key that dropbear does not have (it has ed25519, ecdsa and rsa)")
	}
	if err != nil {
		return nil, err
	}
	pub, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	raw := ssh.Marshal(wire)
	if len(raw) > MaxHostKeySize {
		return nil, fmt.Errorf("rsa key of %d bits: dropbear reads at most %d bytes, which is 4096 bits", keyBits(pub), MaxHostKeySize)
	}
	return &HostKey{pub: pub, secret: func() []byte { return raw }}, nil
}

func wireOfEd25519(k ed25519.PrivateKey) (any, error) {
	if len(k) != ed25519.PrivateKeySize || !bytes.Equal(ed25519.NewKeyFromSeed(k.Seed()), k) {
		return nil, errHalves
	}
	return wireEd25519{ssh.KeyAlgoED25519, bytes.Clone(k)}, nil
}

func wireOfECDSA(k *ecdsa.PrivateKey) (any, error) {
	name := map[int]string{256: "nistp256", 384: "nistp384", 521: "nistp521"}[k.Curve.Params().BitSize]
	if name == "" || ecdsaCurves["ecdsa-sha2-"+name] != k.Curve {
		return nil, errors.New("ecdsa key: dropbear has the curves nistp256, nistp384 and nistp521")
	}
	d, err := k.Bytes()
	if err != nil {
		return nil, fmt.Errorf("ecdsa key: %w", err)
	}
	derived, err := ecdsa.ParseRawPrivateKey(k.Curve, d)
	if err != nil {
		return nil, fmt.Errorf("ecdsa key: %w", err)
	}
	if !derived.PublicKey.Equal(&k.PublicKey) {
		return nil, errHalves
	}
	point, err := derived.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("ecdsa key: %w", err)
	}
	return wireECDSA{"ecdsa-sha2-" + name, name, point, new(big.Int).SetBytes(d)}, nil
}

func wireOfRSA(k *rsa.PrivateKey) (any, error) {
	if len(k.Primes) != 2 {
		return nil, errors.New("rsa key: dropbear wants exactly two primes")
	}
	p, q := k.Primes[0], k.Primes[1]
	for _, x := range []*big.Int{k.N, k.D, p, q} {
		if x == nil || x.Sign() <= 0 {
			return nil, errors.New("rsa key: a number is missing, zero or negative")
		}
	}
	if n := k.N.BitLen(); n < minRSABits {
		return nil, fmt.Errorf("rsa key of %d bits: dropbear wants %d at least", n, minRSABits)
	}
	if k.E < 3 || k.E >= 1<<24 || k.E&1 == 0 {
		return nil, errors.New("rsa key: public exponent out of range")
	}
	// Validate asks only for p*q to be a multiple of n.
	if new(big.Int).Mul(p, q).Cmp(k.N) != 0 {
		return nil, errHalves
	}
	if err := k.Validate(); err != nil {
		return nil, fmt.Errorf("rsa key: %w", err)
	}
	return wireRSA{ssh.KeyAlgoRSA, big.NewInt(int64(k.E)), k.N, k.D, p, q}, nil
}
