package dropbear

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"
)

// HostKey is a private host key. Print it as you like: every verb shows its kind
// and fingerprint only. Marshal alone gives the secret away.
type HostKey struct {
	pub ssh.PublicKey
	// secret returns dropbear's form. The bytes sit behind a function so that
	// nothing that walks a value's fields (fmt on an enclosing struct, go-cmp, a
	// dump by reflection) can come upon them.
	secret func() []byte
}

// GenerateHostKey makes a host key of kind "ed25519", "ecdsa" (nistp256) or
// "rsa" (3072 bits). There is no random source to choose: since Go 1.26 the
// standard library takes the system's whatever it is given.
func GenerateHostKey(kind string) (*HostKey, error) {
	var key any
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		return nil, fmt.Errorf("host key of kind %q: not supported (supported: ed25519, ecdsa, rsa)", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("generating %s host key: %w", kind, err)
	}
	return fromPrivate(key)
}

// Marshal returns the key as dropbear's host key file holds it. The caller owns
// the bytes; write them 0600.
func (k HostKey) Marshal() []byte {
	if k.secret == nil {
		return nil
	}
	return append([]byte(nil), k.secret()...)
}

// Public returns the public half, nil for the zero HostKey.
func (k HostKey) Public() ssh.PublicKey { return k.pub }

// Type returns dropbear's name of the kind: "ed25519", "ecdsa" or "rsa".
func (k HostKey) Type() string {
	if k.pub == nil {
		return ""
	}
	return strings.ToLower(keyLabel(k.pub.Type()))
}

// HostKeyFile is the name by which dropbear and its hook look for a key of a kind: "dropbear_ed25519_host_key".
func HostKeyFile(kind string) string { return "dropbear_" + kind + "_host_key" }

// Fingerprint returns the public half's fingerprint, "SHA256:...".
func (k HostKey) Fingerprint() string {
	if k.pub == nil {
		return ""
	}
	return Fingerprint(k.pub)
}

// Describe returns the line that ssh-keygen -lf prints for the public half.
func (k HostKey) Describe(comment string) string {
	if k.pub == nil {
		return "no key"
	}
	return Identity(k.pub, comment)
}

// String returns kind and fingerprint: "ed25519 SHA256:...".
func (k HostKey) String() string {
	if k.pub == nil {
		return "no key"
	}
	return k.Type() + " " + k.Fingerprint()
}

// Format prints String for every verb and flag.
func (k HostKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }
