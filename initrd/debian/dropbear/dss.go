package dropbear

import (
	"bytes"
	"encoding/pem"
	"errors"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// dssKey is an ssh-dss public key (RFC 4253, section 6.6). golang.org/x/crypto/ssh does not read these any more, but the dropbear of bullseye and bookworm
// lets their owners in. It names a key and verifies nothing.
type dssKey struct{ P, Q, G, Y *big.Int }

// dssBits is the size of p that FIPS 186-2 knows, and dropbear takes no other.
const dssBits = 1024

func (k *dssKey) Type() string { return ssh.InsecureKeyAlgoDSA }

// Marshal is the key on the wire.
func (k *dssKey) Marshal() []byte {
	return ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{k.Type(), k.P, k.Q, k.G, k.Y})
}

func (k *dssKey) Verify([]byte, *ssh.Signature) error {
	return errors.New("ssh-dss signatures are not accepted")
}

// IsDSS reports whether a key's file, a private key's or a public one's, has an ssh-dss key.
func IsDSS(file []byte) bool {
	if bytes.HasPrefix(bytes.TrimSpace(file), []byte(ssh.InsecureKeyAlgoDSA+" ")) {
		return true
	}
	block, _ := pem.Decode(file)
	return block != nil && (block.Type == "DSA PRIVATE KEY" || // PEM, and OpenSSH's own, where the public half stands open
		block.Type == "OPENSSH PRIVATE KEY" && bytes.Contains(block.Bytes, ssh.Marshal(struct{ Type string }{ssh.InsecureKeyAlgoDSA})))
}

// parsePublicKey reads a public key as it is on the wire. What has another form than the one that is written is refused.
func parsePublicKey(b []byte) (pub ssh.PublicKey, err error) {
	var dss struct {
		Type       string
		P, Q, G, Y *big.Int
	}
	if ssh.Unmarshal(b, &dss) == nil && dss.Type == ssh.InsecureKeyAlgoDSA {
		if dss.P.BitLen() != dssBits {
			err = errors.New("an ssh-dss key of another size than dropbear has")
		}
		pub = &dssKey{dss.P, dss.Q, dss.G, dss.Y}
	} else {
		pub, err = ssh.ParsePublicKey(b)
	}
	if err == nil && !bytes.Equal(pub.Marshal(), b) {
		err = errors.New("a key in another form than ssh's")
	}
	return pub, err
}
