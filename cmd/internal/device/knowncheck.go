package device

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
)

// knownHost is what known_hosts has of one device.
type knownHost struct {
	names     []string      // that it is looked up by, in order
	lines     [][]knownLine // of each name
	principal string        // that a certificate must be for
	authority []string      // algorithms with which a certificate may be signed; nil: any but SHA-1's
	bad       []string      // lines of the files that could not be read
	stricter  string        // options of the configuration with which ssh might let in what is unknown
	// ask asks KnownHostsCommand for lines about a name; nil where there is none.
	ask func(invocation, name string, key ssh.PublicKey) ([]knownLine, error)
}

// withAnswer is k, and what KnownHostsCommand says when it is told of the key.
func (k *knownHost) withAnswer(key ssh.PublicKey) (*knownHost, error) {
	if k.ask == nil {
		return k, nil
	}
	more, err := k.ask("HOSTNAME", k.names[0], key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHostKey, err)
	}
	with := *k
	with.lines = slices.Clone(k.lines)
	with.lines[0] = slices.Concat(k.lines[0], more)
	return &with, nil
}

// hostKeyAlgorithms are those with which the device can prove a key that is known, in ssh's order: those of the keys that are known by
// its first name; certificates, where an authority is known; where no key is, any, which can be shown to a person. more are further lines about it; open
// says that there may be others, which are asked for when it has shown its key.
func (k *knownHost) hostKeyAlgorithms(more []knownLine, open bool) []string {
	lines := slices.Concat(k.lines[0], more)
	var certified, known, otherwise, all []string
	for _, f := range keyFamilies {
		all = append(all, f.algorithms...)
		switch isKnown := slices.ContainsFunc(lines, func(l knownLine) bool { return l.marker == "" && l.key.Type() == f.keyType }); {
		case isKnown:
			certified, known = append(certified, f.certified...), append(known, f.algorithms...)
		case hasAuthority(lines):
			certified = append(certified, f.certified...)
		default:
			otherwise = append(otherwise, f.certified...)
		}
	}
	if len(known) == 0 {
		return slices.Concat(certified, otherwise, all)
	}
	if open {
		all = slices.DeleteFunc(slices.Concat(otherwise, all), func(name string) bool { return slices.Contains(known, name) })
		return slices.Concat(certified, known, all)
	}
	if len(slices.Concat(k.lines[1:]...)) > 0 { // the name without a port may vouch for a certificate, or for the key in it
		known = append(known, otherwise...)
	}
	return append(certified, known...)
}

func hasAuthority(lines []knownLine) bool {
	return slices.ContainsFunc(lines, func(l knownLine) bool { return l.marker == "@cert-authority" })
}

// keyStanding is what some lines say of a key, in the words of ssh's hostfile.c.
type keyStanding int

const (
	unknownKey keyStanding = iota // no line is about it
	goodKey
	changedKey // another key is known
	revokedKey
)

// checkKey is the verdict on a key, in ssh's order (check_host_key in its sshconnect.c). A certificate is looked up by the first name and, if nothing
// is known of that, by the name without a port. Then the key in the certificate, or the plain key, is looked up in the same way.
func (k *knownHost) checkKey(key ssh.PublicKey) error {
	plain, cert := withoutCertificate(key)
	var invalid error
	if cert != nil {
		var is keyStanding
		switch is, invalid = k.certStanding(k.lines[0], cert); {
		case is == goodKey, is == unknownKey && invalid == nil && k.withoutPort(plain, cert):
			return nil
		case is == revokedKey:
			return revokedError(plain)
		}
	}
	switch is := standingOf(plain, k.lines[0]); {
	case is == goodKey, is == unknownKey && k.withoutPort(plain, nil):
		return nil
	case is == revokedKey:
		return revokedError(plain)
	case is == changedKey:
		return k.changedKey(plain)
	}
	return k.unknownKey(plain, invalid)
}

// withoutPort says whether the device's other name vouches for a key, or for its certificate.
func (k *knownHost) withoutPort(plain ssh.PublicKey, cert *ssh.Certificate) bool {
	return slices.ContainsFunc(k.lines[1:], func(lines []knownLine) bool {
		if cert != nil {
			if is, _ := k.certStanding(lines, cert); is != unknownKey {
				return is == goodKey
			}
		}
		return standingOf(plain, lines) == goodKey
	})
}

// certStanding is what lines say of a certificate; the error says what is wrong with one that a known authority has signed.
func (k *knownHost) certStanding(lines []knownLine, cert *ssh.Certificate) (keyStanding, error) {
	if revokesKey(revokedIn(lines), cert.Key, cert) {
		return revokedKey, nil
	}
	for _, line := range lines {
		if line.marker == "@cert-authority" && sameKey(line.key, cert.SignatureKey) {
			if err := validCert(cert, k.principal, k.authority); err != nil {
				return unknownKey, err
			}
			return goodKey, nil
		}
	}
	return unknownKey, nil
}

// standingOf is what lines say of a key.
func standingOf(key ssh.PublicKey, lines []knownLine) keyStanding {
	if revokesKey(revokedIn(lines), key, nil) {
		return revokedKey
	}
	is := unknownKey
	for _, line := range lines {
		if line.marker == "" {
			if sameKey(line.key, key) {
				return goodKey
			}
			is = changedKey
		}
	}
	return is
}

func revokedIn(lines []knownLine) (all []ssh.PublicKey) {
	for _, line := range lines {
		if line.marker == "@revoked" {
			all = append(all, line.key)
		}
	}
	return all
}

// revokesKey says whether a list has a key, or the authority of its certificate.
func revokesKey(list []ssh.PublicKey, plain ssh.PublicKey, cert *ssh.Certificate) bool {
	return slices.ContainsFunc(list, func(r ssh.PublicKey) bool {
		return sameKey(r, plain) || cert != nil && sameKey(r, cert.SignatureKey)
	})
}

func revokedError(key ssh.PublicKey) error {
	return hint.To(fmt.Errorf("%w: %s is revoked", ErrHostKey, shownKey(key)), "somebody has said that this key must not be trusted")
}

// validCert asks a host's certificate for a name. x/crypto checks its signature, names (in which, as for ssh, a * means
// nothing), time and critical options; its kind and SHA-1 are ours to look at.
func validCert(cert *ssh.Certificate, name string, authority []string) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("its certificate is a user's, not a host's")
	}
	if f := cert.Signature.Format; f == ssh.KeyAlgoRSA || f == ssh.InsecureKeyAlgoDSA || authority != nil && !slices.Contains(authority, f) {
		return fmt.Errorf("its certificate is signed with %s", f)
	}
	err := (&ssh.CertChecker{}).CheckCert(name, cert)
	if err != nil {
		return errors.New("its certificate: " + strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return nil
}

// checkAddress is CheckHostIP: a good key of a name is refused where another one is known of the address that the name leads to. Nothing needs to be
// known of it, and as for ssh a certificate, a proxy, the loopback and an address in the place of a name are left alone; where a name has an address in its
// place and an alias, its port decides whether it is.
func (s *sshSettings) checkAddress(db *knownDB, k *knownHost, key ssh.PublicKey, from net.Addr) error {
	to, ok := from.(*net.TCPAddr)
	if _, isCert := key.(*ssh.Certificate); !ok || isCert || s.jump != "" || s.proxy != "" || to.IP.IsLoopback() {
		return nil
	}
	host := (&net.IPAddr{IP: to.IP, Zone: to.Zone}).String()
	if ip, err := netip.ParseAddr(s.Host); err == nil && ip.Is4In6() { // which ssh leaves as it is
		host = ip.String()
	}
	names := []string{knownName(host, s.Port)}
	if len(k.lines) > 1 && standingOf(key, k.lines[0]) == unknownKey { // its name without the port has vouched for it
		names = append(names, host)
	}
	for _, name := range names {
		if strings.EqualFold(name, s.Host) {
			return nil
		}
	}
	for i, name := range names {
		lines := db.linesAbout(name)
		if k.ask != nil && i == 0 {
			more, err := k.ask("ADDRESS", name, key)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrHostKey, err)
			}
			lines = append(lines, more...)
		}
		if standingOf(key, lines) == changedKey {
			return hint.To(fmt.Errorf("%w: %s is known of %s, and another key of its address %s", ErrHostKey, shownKey(key), s.Host, host),
				"somebody may be in between, or the address was another device's: if you know that it was, ssh-keygen -R "+Quote(name)+" forgets that key")
		}
	}
	return nil
}

func shownKey(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

func (k *knownHost) changedKey(key ssh.PublicKey) error {
	var was string
	for _, line := range k.lines[0] {
		if line.marker == "" {
			was = ssh.FingerprintSHA256(line.key)
			break
		}
	}
	return hint.To(fmt.Errorf("%w: %s has changed: it shows %s, known is %s", ErrHostKey, k.names[0], shownKey(key), was),
		"somebody may be in between, or the device was set up anew: if you know that it was, ssh-keygen -R "+
			Quote(k.names[0])+" forgets the old key")
}

func (k *knownHost) unknownKey(key ssh.PublicKey, invalid error) error {
	text := "compare it with the device's own (ssh-keygen -lf /etc/ssh/ssh_host_..._key.pub), then give --host-key " + ssh.FingerprintSHA256(key)
	if len(k.bad) > 0 {
		text += "; these lines could not be read: " + strings.Join(k.bad[:min(len(k.bad), 10)], ", ")
	}
	if k.stricter != "" {
		text += "; the configuration's " + k.stricter + " lets in no key here that is not known"
	}
	err := fmt.Errorf("%w: %s is unknown: it shows %s", ErrHostKey, k.names[0], shownKey(key))
	if invalid != nil {
		err = fmt.Errorf("%w; %w", err, invalid)
	}
	return hint.To(err, text)
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
		key, err := parseKeyFields(strings.Fields(string(line)))
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: no public key", name, n)
		}
		all = append(all, key)
	}
	return all, nil
}
