package device

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A verdict checks who answers. Each algorithms is one try: a server has several
// keys and shows the one that is asked for.
type verdict struct {
	check      func(remote net.Addr, key ssh.PublicKey) error
	algorithms [][]string
}

// families are the host key algorithms, by the key's type, best first.
var families = []struct {
	keyType    string
	algorithms []string
}{
	{ssh.KeyAlgoED25519, []string{ssh.KeyAlgoED25519}},
	{ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoECDSA256}},
	{ssh.KeyAlgoECDSA384, []string{ssh.KeyAlgoECDSA384}},
	{ssh.KeyAlgoECDSA521, []string{ssh.KeyAlgoECDSA521}},
	// The last one is SHA-1: the only one that dropbear 2018.76 has for RSA.
	{ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}},
}

// algorithmsFor are those with which a server proves one of the keys. Without
// them it may show a key of another type than the known one, which then
// looks like a changed key.
func algorithmsFor(keys []ssh.PublicKey) []string {
	var all []string
	for _, f := range families {
		if slices.ContainsFunc(keys, func(k ssh.PublicKey) bool { return k.Type() == f.keyType }) {
			all = append(all, f.algorithms...)
		}
	}
	return all
}

// verdictFor is what the options want to be checked.
func (s *settings) verdictFor(o Options) (*verdict, error) {
	switch {
	case o.Keys != nil:
		return pinned(o.Keys)
	case o.HostKey != "":
		return fingerprint(o.HostKey)
	case o.KnownHosts != nil:
		return s.known(o.KnownHosts, true)
	}
	return s.known(s.knownHosts, false)
}

// pinned takes one of the keys, and nothing else.
func pinned(keys []ssh.PublicKey) (*verdict, error) {
	algorithms := algorithmsFor(keys)
	if len(algorithms) == 0 {
		return nil, fmt.Errorf("%w: no usable key is promised", ErrHostKey)
	}
	check := func(_ net.Addr, key ssh.PublicKey) error {
		for _, k := range keys {
			if string(k.Marshal()) == string(key.Marshal()) {
				return nil
			}
		}
		return hint(fmt.Errorf("%w: %s is not a key that was promised", ErrHostKey, ssh.FingerprintSHA256(key)),
			"another device or its system answers there, or an initramfs of another build: the .known_hosts beside the archive has its keys")
	}
	return &verdict{check, [][]string{algorithms}}, nil
}

// fingerprint takes the key that the user named, of whichever type it is.
func fingerprint(want string) (*verdict, error) {
	if len(want) != len("SHA256:")+43 || !strings.HasPrefix(want, "SHA256:") {
		return nil, hint(fmt.Errorf("host key %q: not a fingerprint", want), "it looks like SHA256:... with 43 characters (ssh-keygen -lf FILE.pub)")
	}
	v := &verdict{check: func(_ net.Addr, key ssh.PublicKey) error {
		if got := ssh.FingerprintSHA256(key); got != want {
			return fmt.Errorf("%w: the device shows %s", ErrHostKey, got)
		}
		return nil
	}}
	for _, f := range families {
		v.algorithms = append(v.algorithms, f.algorithms)
	}
	return v, nil
}

// known asks known_hosts files. Files that were named must exist.
func (s *settings) known(files []string, must bool) (*verdict, error) {
	db, err := readKnownHosts(files, s.Port, must)
	if err != nil {
		return nil, err
	}
	name := net.JoinHostPort(strings.ToLower(s.Host), s.Port) // as ssh(1) writes it there
	if s.hostKeyAlias != "" {
		name = net.JoinHostPort(s.hostKeyAlias, "22")
	}
	check := func(remote net.Addr, key ssh.PublicKey) error { return db.check(name, remote, key) }
	var keyErr *knownhosts.KeyError
	var keys []ssh.PublicKey
	if errors.As(db.ask(name, &net.TCPAddr{}, nobody), &keyErr) {
		for _, k := range keyErr.Want {
			keys = append(keys, k.Key)
		}
	}
	return &verdict{check, [][]string{algorithmsFor(keys)}}, nil
}

// nobody is a key that no device has; asking for it tells the known ones.
var nobody = func() ssh.PublicKey {
	key, err := ssh.ParsePublicKey(append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), make([]byte, 32)...))
	if err != nil {
		panic(err)
	}
	return key
}()

// ReadKeys reads the keys of a known_hosts file that is about one device, as
// `groundhog patch` writes it beside an archive. The names in it do not matter.
func ReadKeys(path string) ([]ssh.PublicKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the archive's identity: %w", err)
	}
	var keys []ssh.PublicKey
	for len(b) > 0 {
		marker, _, key, _, rest, err := ssh.ParseKnownHosts(b)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the archive's identity: %s: %w", path, err)
		}
		if marker == "" {
			keys = append(keys, key)
		}
		b = rest
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("reading the archive's identity: %s has no key", path)
	}
	return keys, nil
}
