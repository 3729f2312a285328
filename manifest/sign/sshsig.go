// Package sign makes and checks signatures of manifests, which are files as
// ssh-keygen(1) makes them.
package sign

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Namespace is what our signatures are for; one made for another purpose
// (a mail, a git commit) does not count.
const Namespace = "groundhog"

// A signature is a file as `ssh-keygen -Y sign -n groundhog` writes it
// (openssh-portable, PROTOCOL.sshsig): an armoured blob that holds the public
// key, the namespace, and a signature over the hash of the message.
const (
	sigMagic    = "SSHSIG"
	sigVersion  = 1
	sigBegin    = "-----BEGIN SSH SIGNATURE-----\n"
	sigEnd      = "-----END SSH SIGNATURE-----"
	sigWidth    = 70       // characters of base64 to a line
	maxSig      = 64 << 10 // bytes, armoured
	sigHashName = "sha512" // what ssh-keygen uses unless told otherwise
)

type sigBlob struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// sigMessage is what is signed, behind the magic.
type sigMessage struct {
	Namespace string
	Reserved  string
	Hash      string
	Sum       []byte
}

// Make signs a message, as a rule a manifest's file, and returns the
// signature's file. Keys are ed25519, ecdsa or rsa.
func Make(message []byte, key ssh.Signer) ([]byte, error) {
	signed, err := toSign(message, sigHashName, Namespace)
	if err != nil {
		return nil, err
	}
	var sig *ssh.Signature
	switch kind := key.PublicKey().Type(); kind {
	case ssh.KeyAlgoRSA:
		as, ok := key.(ssh.AlgorithmSigner)
		if !ok {
			return nil, errors.New("signing: this rsa key signs with SHA-1 only")
		}
		sig, err = as.SignWithAlgorithm(rand.Reader, signed, ssh.KeyAlgoRSASHA512)
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		sig, err = key.Sign(rand.Reader, signed)
	default:
		return nil, fmt.Errorf("signing: a key of kind %q: not supported (supported: ed25519, ecdsa, rsa)", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return armor(append([]byte(sigMagic), ssh.Marshal(sigBlob{Version: sigVersion, PublicKey: key.PublicKey().Marshal(),
		Namespace: Namespace, Hash: sigHashName, Signature: ssh.Marshal(sig)})...)), nil
}

// toSign is the bytes that the signature is over.
func toSign(message []byte, hashName, namespace string) ([]byte, error) {
	hashes := map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New}
	if hashes[hashName] == nil {
		return nil, fmt.Errorf("signature: hash %q: not supported (supported: sha256, sha512)", hashName)
	}
	h := hashes[hashName]()
	h.Write(message)
	return append([]byte(sigMagic), ssh.Marshal(sigMessage{Namespace: namespace, Hash: hashName, Sum: h.Sum(nil)})...), nil
}

// Check checks that sig is a signature of the message, for our
// namespace, by a key that an allowed_signers file names (ssh-keygen(1),
// "ALLOWED SIGNERS"), and returns who that is. With signer not empty it must be
// that one. Certificates, and the options valid-after and valid-before, which
// need a clock, are refused.
func Check(message, sig, allowedSigners []byte, signer string) (*Signer, error) {
	blob, err := dearmor(sig)
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	pub, err := ssh.ParsePublicKey(blob.PublicKey)
	if err != nil {
		return nil, errors.New("signature: its key is damaged or of a kind that is not supported")
	}
	if _, ok := pub.(*ssh.Certificate); ok {
		return nil, errors.New("signature: made with a certificate, which is not supported")
	}
	if blob.Namespace != Namespace {
		return nil, fmt.Errorf("signature: made for %q, not for %q", blob.Namespace, Namespace)
	}
	signed, err := toSign(message, blob.Hash, blob.Namespace)
	if err != nil {
		return nil, err
	}
	var s ssh.Signature
	if err := ssh.Unmarshal(blob.Signature, &s); err != nil {
		return nil, errors.New("signature: cut off")
	}
	if err := checkAlgorithm(pub.Type(), &s); err != nil {
		return nil, err
	}
	if err := pub.Verify(signed, &s); err != nil {
		return nil, errors.New("signature: it is not of this manifest, or damaged")
	}
	return allowedSigner(allowedSigners, pub, signer)
}

// signatureFormats are the signatures that count, by the type of the key. SHA-1 and DSA are
// not among them: PROTOCOL.sshsig forbids the one with RSA, and OpenSSH has dropped
// the other.
var signatureFormats = map[string][]string{
	ssh.KeyAlgoED25519:    {ssh.KeyAlgoED25519},
	ssh.KeyAlgoECDSA256:   {ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384:   {ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521:   {ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoRSA:        {ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
	ssh.KeyAlgoSKED25519:  {ssh.KeyAlgoSKED25519},
	ssh.KeyAlgoSKECDSA256: {ssh.KeyAlgoSKECDSA256},
}

// checkAlgorithm refuses a signature of a kind that does not count, and one with
// something behind it, which only those of security keys have: flags and a counter.
func checkAlgorithm(keyType string, s *ssh.Signature) error {
	if !slices.Contains(signatureFormats[keyType], s.Format) {
		return fmt.Errorf("signature: %s by a key of kind %s: not supported (supported: ed25519, ecdsa, rsa with SHA-2)",
			strconv.Quote(s.Format), keyType)
	}
	if len(s.Rest) > 0 && !strings.HasPrefix(keyType, "sk-") {
		return errors.New("signature: something stands behind it")
	}
	return nil
}

func armor(blob []byte) []byte {
	var b bytes.Buffer
	b.WriteString(sigBegin)
	text := base64.StdEncoding.EncodeToString(blob)
	for len(text) > 0 {
		n := min(len(text), sigWidth)
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString(sigEnd + "\n")
	return b.Bytes()
}

func dearmor(sig []byte) (*sigBlob, error) {
	if len(sig) > maxSig {
		return nil, fmt.Errorf("more than %d bytes", maxSig)
	}
	text, ok := strings.CutPrefix(strings.ReplaceAll(string(sig), "\r\n", "\n"), sigBegin)
	body, _, end := strings.Cut(text, "\n"+sigEnd)
	if !ok || !end {
		return nil, errors.New("not an SSH signature, or cut off")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		return nil, errors.New("not base64")
	}
	raw, ok = bytes.CutPrefix(raw, []byte(sigMagic))
	blob := new(sigBlob)
	if !ok || ssh.Unmarshal(raw, blob) != nil {
		return nil, errors.New("not an SSH signature, or cut off")
	}
	if blob.Version != sigVersion {
		return nil, fmt.Errorf("version %d: not supported", blob.Version)
	}
	return blob, nil
}
