// Package dropbear knows dropbear's files and what each of Debian's versions of
// it makes of them: host keys, authorized keys, where they lie, what the server
// can do. It reads and writes bytes only; no file, no network.
//
// Host keys. Dropbear's file is a run of SSH wire strings (RFC 4251, section 5)
// without header or encryption:
//
//	ed25519  string "ssh-ed25519", string (64 bytes: seed, public key)
//	ecdsa    string "ecdsa-sha2-CURVE", string CURVE, string point, mpint d
//	rsa      string "ssh-rsa", mpint e, mpint n, mpint d, mpint p, mpint q
//
// A key is accepted only if its halves belong together and the bytes are the
// one way to write it, so that what was parsed is written again byte for byte.
// ssh-dss and anything over 1700 bytes (dropbear's own buffer) are refused.
// OpenSSH's and PEM's private keys are converted; encrypted ones are refused.
//
// Authorized keys. A line counts only if dropbear, which is stricter than
// OpenSSH about blanks and options, would let its key in (dropbear(8), and
// svr-authpubkey.c for what the manual leaves out). Every other line that is
// not a comment is reported with its number. In one thing we are stricter:
// dropbear skips what is not base64 within a key, we call the key damaged.
package dropbear

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/initrd/show"
)

// Fingerprint returns a public key's fingerprint as ssh-keygen -lf and
// dropbearkey -y print it: "SHA256:" and 43 characters of base64.
func Fingerprint(pub ssh.PublicKey) string { return ssh.FingerprintSHA256(pub) }

// Identity returns the line that ssh-keygen -lf prints for a public key, without
// a line end: "256 SHA256:... comment (ED25519)". Characters that do not print
// are shown as '?'; an empty comment is shown as "no comment".
func Identity(pub ssh.PublicKey, comment string) string {
	if comment == "" {
		comment = "no comment"
	}
	return fmt.Sprintf("%d %s %s (%s)", keyBits(pub), Fingerprint(pub), printableComment(comment), keyLabel(pub.Type()))
}

func printableComment(s string) string {
	return strings.Map(func(r rune) rune {
		if !show.Prints(r) {
			return '?'
		}
		return r
	}, s)
}

// keyLabel turns an SSH key type into ssh-keygen's name for it.
func keyLabel(keyType string) string {
	name, cert := strings.CutSuffix(keyType, "-cert-v01@openssh.com")
	name, _ = strings.CutSuffix(name, "@openssh.com")
	name, sk := strings.CutPrefix(name, "sk-")
	switch {
	case strings.HasPrefix(name, "ecdsa-"):
		name = "ECDSA"
	case name == ssh.InsecureKeyAlgoDSA:
		name = "DSA"
	default:
		name = strings.ToUpper(strings.TrimPrefix(name, "ssh-"))
	}
	if sk {
		name += "-SK"
	}
	if cert {
		name += "-CERT"
	}
	return name
}

// keyBits returns a key's size as ssh-keygen counts it. The kinds that do not show
// their numbers (security keys) are all on 256-bit curves.
func keyBits(pub ssh.PublicKey) int {
	if cert, ok := pub.(*ssh.Certificate); ok {
		pub = cert.Key
	}
	if dss, ok := pub.(*dssKey); ok {
		return dss.P.BitLen()
	}
	c, ok := pub.(ssh.CryptoPublicKey)
	if !ok {
		return 256
	}
	switch k := c.CryptoPublicKey().(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize
	}
	return 256
}
