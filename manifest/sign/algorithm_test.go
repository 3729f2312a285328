package sign_test

import (
	"bytes"
	"crypto/dsa" //lint:ignore SA1019 it is what must be refused
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest/sign"

	"golang.org/x/crypto/ssh"
)

// signed is a signature's file, made by hand so that it may be of any kind; tail
// follows the signature inside of the blob, behind the blob.
func signed(t *testing.T, key ssh.Signer, algorithm string, message, tail, behind []byte) []byte {
	t.Helper()
	sum := sha512.Sum512(message)
	body := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{"groundhog", "", "sha512", sum[:]})...)
	sig := judge.Value(key.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, body, algorithm))(t)
	blob := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Version                   uint32
		Key                       []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, key.PublicKey().Marshal(), "groundhog", "", "sha512", append(ssh.Marshal(sig), tail...)})...)
	text := base64.StdEncoding.EncodeToString(append(blob, behind...))
	return []byte("-----BEGIN SSH SIGNATURE-----\n" + text + "\n-----END SSH SIGNATURE-----\n")
}

// dssSigner signs by ssh-dss (RFC 4253, section 6.6), which golang.org/x/crypto/ssh does not any more.
type dssSigner struct{ *dsa.PrivateKey }

func (s dssSigner) PublicKey() ssh.PublicKey { return s }
func (s dssSigner) Type() string             { return ssh.InsecureKeyAlgoDSA }

func (s dssSigner) Marshal() []byte {
	return ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{s.Type(), s.P, s.Q, s.G, s.Y})
}

func (s dssSigner) Verify([]byte, *ssh.Signature) error { return errors.New("not asked") }

func (s dssSigner) Sign(from io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(from, data, s.Type())
}

func (s dssSigner) SignWithAlgorithm(from io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	hash := sha1.Sum(data)
	r, v, err := dsa.Sign(from, s.PrivateKey, hash[:])
	if err != nil {
		return nil, err
	}
	return &ssh.Signature{Format: algorithm, Blob: append(r.FillBytes(make([]byte, 20)), v.FillBytes(make([]byte, 20))...)}, nil
}

// Of a key that may sign, only signatures without SHA-1 and DSA count, and nothing
// stands behind them.
func TestAlgorithms(t *testing.T) {
	rsaKey := judge.Value(rsa.GenerateKey(rand.Reader, 2048))(t)
	var dsaKey dsa.PrivateKey
	judge.Must(t, dsa.GenerateParameters(&dsaKey.Parameters, rand.Reader, dsa.L1024N160))
	judge.Must(t, dsa.GenerateKey(&dsaKey, rand.Reader))
	message := []byte("{}\n")
	for _, c := range []struct {
		name      string
		key       any
		algorithm string
		tail      string
		behind    string
		ok        bool
	}{
		{"ed25519", ed25519.NewKeyFromSeed(make([]byte, 32)), ssh.KeyAlgoED25519, "", "", true},
		{"rsa with SHA-512", rsaKey, ssh.KeyAlgoRSASHA512, "", "", true},
		{"rsa with SHA-256", rsaKey, ssh.KeyAlgoRSASHA256, "", "", true},
		{"rsa with SHA-1", rsaKey, ssh.KeyAlgoRSA, "", "", false},
		{"dsa", dssSigner{&dsaKey}, ssh.InsecureKeyAlgoDSA, "", "", false},
		{"bytes behind the signature", ed25519.NewKeyFromSeed(make([]byte, 32)), ssh.KeyAlgoED25519, "\x01\x00\x00\x00\x01", "", false},
		{"bytes behind the blob", ed25519.NewKeyFromSeed(make([]byte, 32)), ssh.KeyAlgoED25519, "", "x", false},
	} {
		key, ok := c.key.(ssh.Signer)
		if !ok {
			var err error
			if key, err = ssh.NewSignerFromKey(c.key); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		allowed := []byte("me " + string(ssh.MarshalAuthorizedKey(key.PublicKey())))
		sig := signed(t, key, c.algorithm, message, []byte(c.tail), []byte(c.behind))
		who, err := sign.Check(message, sig, allowed, "me")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v, %v", c.name, who, err)
		}
		if _, err := sign.Check(append(message, ' '), sig, allowed, "me"); err == nil {
			t.Errorf("%s: accepted for another message", c.name)
		}
	}
}

// One signature has one form: base64 with other bits in its padding is refused.
func TestSignaturePadding(t *testing.T) {
	key, pub := testKey(t)
	message := []byte("{}\n")
	sig := signed(t, key, ssh.KeyAlgoED25519, message, nil, nil)
	judge.Value(sign.Check(message, sig, []byte("me "+pub), ""))(t)
	body := bytes.Split(sig, []byte("\n"))[1]
	if !bytes.HasSuffix(body, []byte("=")) {
		t.Fatal("this signature has no padding to play with")
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := bytes.IndexByte(body, '=') - 1
	body[last] = digits[strings.IndexByte(digits, body[last])+1]
	if _, err := sign.Check(message, sig, []byte("me "+pub), ""); err == nil {
		t.Error("other bits in the padding: accepted")
	}
}
