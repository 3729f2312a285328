package device

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/sidefile"
)

// knownHost is what known_hosts has of one device.
type knownHost struct {
	names     []string      // that it is looked up by, in order
	lines     [][]knownLine // of each name
	principal string        // that a certificate must be for
	revoked   []ssh.PublicKey
	bad       []string // lines of the files that could not be read
}

// algorithms are those with which the device can prove a key that is known by its first name. Where an authority is known
// its certificates come first; where no key is, any can be shown, to a person.
func (k *knownHost) algorithms() []string {
	authority, plain := false, false
	var certified, known, all []string
	for _, f := range families {
		all = append(all, f.algorithms...)
		if slices.ContainsFunc(k.lines[0], func(l knownLine) bool { return l.marker == "" && l.key.Type() == f.keyType }) {
			certified, known, plain = append(certified, f.certified...), append(known, f.algorithms...), true
		}
	}
	for _, line := range k.lines[0] {
		authority = authority || line.marker == "@cert-authority"
	}
	if authority || !plain {
		certified = nil
		for _, f := range families {
			certified = append(certified, f.certified...)
		}
	}
	if !plain {
		known = all
	}
	return append(certified, known...)
}

// standing is what some lines say of a key, in the words of ssh's hostfile.c.
type standing int

const (
	unknownKey standing = iota // no line is about it
	goodKey
	changedKey // another key is known
	revokedKey
)

// check is the verdict on a key. What is known of the device without its port is asked where nothing is known of
// the port, as ssh does.
func (k *knownHost) check(key ssh.PublicKey) error {
	plain, cert := key, (*ssh.Certificate)(nil)
	if c, ok := key.(*ssh.Certificate); ok {
		plain, cert = c.Key, c
	}
	if revokes(k.revoked, plain, cert) {
		return revokedError(plain)
	}
	is, invalid := k.standing(k.lines[0], plain, cert)
	for _, lines := range k.lines[1:] {
		if is == unknownKey {
			if other, _ := k.standing(lines, plain, cert); other == goodKey {
				return nil
			}
		}
	}
	switch is {
	case goodKey:
		return nil
	case revokedKey:
		return revokedError(plain)
	case changedKey:
		return k.changed(plain)
	}
	return k.unknown(plain, invalid)
}

// standing is what lines say of a key. A certificate that no authority stands for counts as the key in it, as for
// ssh; the error says what is wrong with one that a known authority has signed.
func (k *knownHost) standing(lines []knownLine, plain ssh.PublicKey, cert *ssh.Certificate) (is standing, invalid error) {
	var revoked []ssh.PublicKey
	for _, line := range lines {
		switch {
		case line.marker == "@revoked":
			revoked = append(revoked, line.key)
		case line.marker == "@cert-authority":
			if cert != nil && sameKey(line.key, cert.SignatureKey) {
				if invalid = validCert(cert, k.principal); invalid == nil {
					is = goodKey
				}
			}
		case sameKey(line.key, plain):
			is = goodKey
		case is == unknownKey:
			is = changedKey
		}
	}
	if revokes(revoked, plain, cert) {
		is = revokedKey
	}
	return is, invalid
}

// revokes says whether a list has a key, or the authority of its certificate.
func revokes(list []ssh.PublicKey, plain ssh.PublicKey, cert *ssh.Certificate) bool {
	return slices.ContainsFunc(list, func(r ssh.PublicKey) bool {
		return sameKey(r, plain) || cert != nil && sameKey(r, cert.SignatureKey)
	})
}

func revokedError(key ssh.PublicKey) error {
	return hint(fmt.Errorf("%w: %s is revoked", ErrHostKey, shown(key)), "somebody has said that this key must not be trusted")
}

// validCert asks a host's certificate for a name. x/crypto checks its signature, time and critical options; names with
// wildcards and SHA-1 are ours to look at.
func validCert(cert *ssh.Certificate, name string) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("its certificate is a user's, not a host's")
	}
	if f := cert.Signature.Format; f == ssh.KeyAlgoRSA || f == ssh.InsecureKeyAlgoDSA {
		return fmt.Errorf("its certificate is signed with %s", f)
	}
	principal := name
	for _, p := range cert.ValidPrincipals {
		if wildcard(p, name) {
			principal = p
		}
	}
	err := (&ssh.CertChecker{}).CheckCert(principal, cert)
	if err != nil {
		return errors.New("its certificate: " + strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return nil
}

func shown(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

func (k *knownHost) changed(key ssh.PublicKey) error {
	var was string
	for _, line := range k.lines[0] {
		if line.marker == "" {
			was = ssh.FingerprintSHA256(line.key)
			break
		}
	}
	return hint(fmt.Errorf("%w: %s has changed: it shows %s, known is %s", ErrHostKey, k.names[0], shown(key), was),
		"somebody may be in between, or the device was set up anew: if you know that it was, ssh-keygen -R "+
			Quote(k.names[0])+" forgets the old key")
}

func (k *knownHost) unknown(key ssh.PublicKey, invalid error) error {
	text := "compare it with the device's own (ssh-keygen -lf /etc/ssh/ssh_host_..._key.pub), then give --host-key " + ssh.FingerprintSHA256(key)
	if len(k.bad) > 0 {
		text += "; these lines could not be read: " + strings.Join(k.bad[:min(len(k.bad), 10)], ", ")
	}
	err := fmt.Errorf("%w: %s is unknown: it shows %s", ErrHostKey, k.names[0], shown(key))
	if invalid != nil {
		err = fmt.Errorf("%w; %w", err, invalid)
	}
	return hint(err, text)
}

// readRevoked reads a list of public keys (ssh_config(5), RevokedHostKeys). ssh's own binary lists are refused.
func readRevoked(name string) ([]ssh.PublicKey, error) {
	b, err := sidefile.Read(name, sidefile.Group, maxKnownHosts)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b, []byte("SSHKRL\n\x00")) {
		return nil, fmt.Errorf("%s: a binary revocation list (ssh-keygen -k), which is not supported: a list of public keys is", name)
	}
	var all []ssh.PublicKey
	n := 0
	for line := range bytes.Lines(b) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: no public key", name, n)
		}
		all = append(all, key)
	}
	return all, nil
}
