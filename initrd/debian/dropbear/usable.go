package dropbear

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// ErrNoUsableKey says that an authorized_keys file lets nobody in.
var ErrNoUsableKey = errors.New("no key that lets anybody in")

// errKind marks a kind of key that a version does not have.
type errKind struct {
	v    Version
	kind string
}

func (e errKind) Error() string { return fmt.Sprintf("%v has no %s keys", e.v, e.kind) }

// Usable returns nil if this version of dropbear lets a key's owner in, and
// otherwise why not. A command= option does not make a key unusable, though its
// owner can run nothing but that command.
func (v Version) Usable(k AuthorizedKey) error {
	if k.Key == nil {
		return errors.New("no key")
	}
	if !v.hasUserKey(k.Type()) {
		return errKind{v, k.Type()}
	}
	if n := keyBits(k.Key); k.Type() == ssh.KeyAlgoRSA && n < minRSABits {
		return fmt.Errorf("rsa key of %d bits: dropbear wants %d at least", n, minRSABits)
	}
	return v.checkOptions(k.Options)
}

func (v Version) hasUserKey(kind string) bool {
	switch kind {
	case ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return true
	case ssh.KeyAlgoED25519:
		return v.Ed25519
	case ssh.InsecureKeyAlgoDSA:
		return v.DSS
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return v.SecurityKeys
	}
	return false // certificates among them
}

// CheckAuthorizedKeys reads an authorized_keys file and returns the keys that
// this version lets in, and a problem, "line 3: ...", for every other line that
// is neither comment nor blank, in the order of the file. With no usable key the
// error wraps ErrNoUsableKey and says why; with a private key it is
// ErrPrivateKey.
func CheckAuthorizedKeys(b []byte, v Version) (usable []AuthorizedKey, problems []string, err error) {
	if isPrivate(b) {
		return nil, nil, fmt.Errorf("authorized_keys: %w", ErrPrivateKey)
	}
	var kinds []string
	for n, line := range numberedLines(b) {
		k, err := parseLine(line)
		if err == nil && k.Key == nil {
			continue
		}
		if err == nil {
			err = v.Usable(k)
		}
		if err == nil {
			k.Line = n
			usable = append(usable, k)
			continue
		}
		if e, ok := errors.AsType[errKind](err); ok && !slices.Contains(kinds, e.kind) {
			kinds = append(kinds, e.kind)
		}
		problems = addProblem(problems, n, err)
	}
	if len(usable) == 0 {
		return nil, problems, fmt.Errorf("authorized_keys: %w: %s", ErrNoUsableKey, whyNone(b, v, problems, kinds))
	}
	return usable, problems, nil
}

func whyNone(b []byte, v Version, problems, kinds []string) string {
	switch {
	case len(b) == 0:
		return "the file is empty"
	case len(problems) == 0:
		return "there are only comments and blank lines"
	case len(kinds) > 0:
		return fmt.Sprintf("%v has no %s keys", v, strings.Join(kinds, ", "))
	}
	return problems[0]
}
