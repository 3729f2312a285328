package device

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
)

// A keyVerdict checks who answers. Each algorithms is one try: a server has several
// keys and shows the one that is asked for.
type keyVerdict struct {
	check      func(key ssh.PublicKey, from net.Addr) error // from is where the connection leads; nil where that is not seen
	algorithms [][]string
}

// keyFamilies are the host key algorithms, by the key's type, best first. ssh-dss is not among them, and RSA with
// SHA-1 is a try of its own (withSHA1).
var keyFamilies = []struct {
	keyType    string
	algorithms []string
	certified  []string // with a host certificate
}{
	{ssh.KeyAlgoED25519, []string{ssh.KeyAlgoED25519}, []string{ssh.CertAlgoED25519v01}},
	{ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoECDSA256}, []string{ssh.CertAlgoECDSA256v01}},
	{ssh.KeyAlgoECDSA384, []string{ssh.KeyAlgoECDSA384}, []string{ssh.CertAlgoECDSA384v01}},
	{ssh.KeyAlgoECDSA521, []string{ssh.KeyAlgoECDSA521}, []string{ssh.CertAlgoECDSA521v01}},
	{ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}, []string{ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}},
}

// algorithmsFor are those with which a server proves one of the keys. Without
// them it may show a key of another type than the known one, which then
// looks like a changed key.
func algorithmsFor(keys []ssh.PublicKey) []string {
	var all []string
	for _, f := range keyFamilies {
		if slices.ContainsFunc(keys, func(k ssh.PublicKey) bool { return k.Type() == f.keyType }) {
			all = append(all, f.algorithms...)
		}
	}
	return all
}

// withSHA1 is tries, and a last one with SHA-1 where an RSA key would do: dropbear 2018.76 has nothing better for it.
func withSHA1(tries ...[]string) [][]string {
	for _, t := range tries {
		if slices.Contains(t, ssh.KeyAlgoRSASHA256) {
			return append(tries, []string{ssh.KeyAlgoRSA})
		}
	}
	return tries
}

// verdictFor is what the options want to be checked, and what the configuration wants of every key.
func (s *sshSettings) verdictFor(o Options) (*keyVerdict, error) {
	v, err := s.choiceOf(o)
	if err != nil {
		return nil, err
	}
	if v.algorithms, err = s.algorithms.allowedTries(v.algorithms); err != nil {
		return nil, err
	}
	var revoked []ssh.PublicKey
	for _, name := range s.revoked {
		keys, err := readRevoked(name)
		if err != nil {
			return nil, Unread(fmt.Errorf("reading RevokedHostKeys: %w", err))
		}
		revoked = append(revoked, keys...)
	}
	chosen := v.check
	v.check = func(key ssh.PublicKey, from net.Addr) error {
		plain, cert := withoutCertificate(key)
		if revokesKey(revoked, plain, cert) {
			return revokedError(plain)
		}
		if bits := rsaBits(plain); bits > 0 && bits < s.algorithms.rsaBits {
			return hint.To(fmt.Errorf("%w: %s has %d bits, and RequiredRSASize is %d", ErrHostKey, shownKey(plain), bits, s.algorithms.rsaBits), "the device needs a longer key, or one of another type")
		}
		return chosen(key, from)
	}
	return v, nil
}

// choiceOf is the verdict of the first that says who the device must be.
func (s *sshSettings) choiceOf(o Options) (*keyVerdict, error) {
	switch {
	case o.Keys != nil:
		return pinnedKeys(o.Keys)
	case o.HostKey != "":
		return pinnedFingerprint(o.HostKey)
	case o.KnownHosts != nil:
		return s.knownHostsVerdict(o.KnownHosts, true)
	}
	return s.knownHostsVerdict(s.knownHosts, false)
}

// withoutCertificate is a host key, and the certificate that it came in; nil where it came plain.
func withoutCertificate(key ssh.PublicKey) (plain ssh.PublicKey, cert *ssh.Certificate) {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key, cert
	}
	return key, nil
}

func sameKey(a, b ssh.PublicKey) bool { return string(a.Marshal()) == string(b.Marshal()) }

// pinnedKeys takes one of the keys, and nothing else.
func pinnedKeys(keys []ssh.PublicKey) (*keyVerdict, error) {
	algorithms := algorithmsFor(keys)
	if len(algorithms) == 0 {
		return nil, fmt.Errorf("%w: no usable key is promised", ErrHostKey)
	}
	check := func(key ssh.PublicKey, _ net.Addr) error {
		for _, k := range keys {
			if sameKey(k, key) {
				return nil
			}
		}
		return hint.To(fmt.Errorf("%w: %s is not a key that was promised", ErrHostKey, ssh.FingerprintSHA256(key)),
			"another device or its system answers there, or an initramfs of another build: the .known_hosts beside the archive has its keys")
	}
	return &keyVerdict{check, withSHA1(algorithms)}, nil
}

// CheckFingerprint refuses what is no host key's fingerprint.
func CheckFingerprint(s string) error {
	_, err := pinnedFingerprint(s)
	return err
}

// pinnedFingerprint takes the key that the user named, of whichever type it is.
func pinnedFingerprint(want string) (*keyVerdict, error) {
	if len(want) != len("SHA256:")+43 || !strings.HasPrefix(want, "SHA256:") {
		return nil, hint.To(fmt.Errorf("host key %q: not a fingerprint", want), "it looks like SHA256:... with 43 characters (ssh-keygen -lf FILE.pub)")
	}
	v := &keyVerdict{check: func(key ssh.PublicKey, _ net.Addr) error {
		if got := ssh.FingerprintSHA256(key); got != want {
			return fmt.Errorf("%w: the device shows %s", ErrHostKey, got)
		}
		return nil
	}}
	for _, f := range keyFamilies {
		v.algorithms = append(v.algorithms, f.algorithms)
	}
	v.algorithms = withSHA1(v.algorithms...)
	return v, nil
}

// knownHostsVerdict asks known_hosts files. Files that were named must exist.
func (s *sshSettings) knownHostsVerdict(files []string, must bool) (*keyVerdict, error) {
	db, err := readKnownHosts(files, must)
	if err != nil {
		return nil, err
	}
	k := &knownHost{names: s.knownNames(), bad: db.bad, authority: s.algorithms.authority, stricter: s.stricter}
	if k.principal = s.hostKeyAlias; k.principal == "" {
		k.principal = strings.ToLower(s.Host)
	}
	for _, name := range k.names {
		k.lines = append(k.lines, db.linesAbout(name))
	}
	if must || s.knownCommand == "" {
		return s.knownVerdict(db, k, k.hostKeyAlgorithms(nil, false)), nil
	}
	more, err := s.askKnownHosts("ORDER", k.names[0], nil) // older releases ask for the name without a port here
	if err != nil {
		return nil, Unread(err)
	}
	k.ask = s.askKnownHosts
	return s.knownVerdict(db, k, k.hostKeyAlgorithms(more, true)), nil
}

// knownVerdict is the verdict of what is known.
func (s *sshSettings) knownVerdict(db *knownDB, k *knownHost, algorithms []string) *keyVerdict {
	check := func(key ssh.PublicKey, from net.Addr) error {
		k, err := k.withAnswer(key)
		if err != nil {
			return err
		}
		if err := k.checkKey(key); err != nil || !s.checkIP {
			return err
		}
		return s.checkAddress(db, k, key, from)
	}
	return &keyVerdict{check, withSHA1(algorithms)}
}
