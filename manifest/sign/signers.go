package sign

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Signer is who signed.
type Signer struct {
	Principals  string // as the allowed_signers file has them
	Type        string // of the key: "ssh-ed25519"
	Fingerprint string // "SHA256:..."
}

// ErrNotAllowed is wrapped where a signature is good but its key is not one
// that may sign.
var ErrNotAllowed = errors.New("not an allowed signer")

// allowedSigner finds the line that lets pub sign for our namespace. Lines are tried
// in order, as ssh-keygen does; those that are none are passed over.
func allowedSigner(file []byte, pub ssh.PublicKey, signer string) (*Signer, error) {
	blob := pub.Marshal()
	reason, named := "", false
	for i, line := range strings.Split(string(file), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		l, err := parseSigner(line)
		if err != nil {
			continue
		}
		if named = true; !bytes.Equal(l.blob, blob) {
			continue
		}
		if err := l.permitsSigner(signer); err != nil {
			reason = fmt.Sprintf(" (line %d: %v)", i+1, err)
			continue
		}
		return &Signer{Principals: l.principals, Type: pub.Type(), Fingerprint: ssh.FingerprintSHA256(pub)}, nil
	}
	if !named {
		reason = " (no line of the file names a signer: PRINCIPALS KEYTYPE KEY, see ALLOWED SIGNERS in ssh-keygen(1))"
	}
	return nil, fmt.Errorf("signature: %s key %s: %w%s", pub.Type(), ssh.FingerprintSHA256(pub), ErrNotAllowed, reason)
}

// signerLine is a line of an allowed_signers file: principals, options, key.
type signerLine struct {
	principals string
	options    []string
	blob       []byte
}

func parseSigner(line string) (*signerLine, error) {
	l := new(signerLine)
	l.principals, line = cutWord(line)
	l.principals = strings.Trim(l.principals, `"`)
	next, rest := cutWord(line)
	if !isKeyType(next) {
		if strings.HasSuffix(next, ",") {
			return nil, errors.New("an option is missing")
		}
		l.options = splitOptions(next)
		next, rest = cutWord(rest)
	}
	if !isKeyType(next) {
		return nil, errors.New("no key")
	}
	text, _ := cutWord(rest)
	var err error
	l.blob, err = base64.StdEncoding.DecodeString(text)
	if err == nil && !bytes.HasPrefix(l.blob, append([]byte{0, 0, 0, byte(len(next))}, next...)) {
		err = errors.New("the key is of another type")
	}
	return l, err
}

func isKeyType(s string) bool {
	return strings.HasPrefix(s, "ssh-") || strings.HasPrefix(s, "ecdsa-") || strings.HasPrefix(s, "sk-")
}

// cutWord cuts the first word off s. Blanks between double quotes belong to it.
func cutWord(s string) (first, rest string) {
	quoted := false
	for i, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return s[:i], strings.TrimLeft(s[i:], " \t")
		}
	}
	return s, ""
}

// splitOptions splits at commas that are not between double quotes.
func splitOptions(s string) []string {
	var quoted bool
	return strings.FieldsFunc(s, func(c rune) bool {
		if c == '"' {
			quoted = !quoted
		}
		return c == ',' && !quoted
	})
}

// permitsSigner says why a line does not let its key sign for us, as signer if that
// is not empty.
func (l *signerLine) permitsSigner(signer string) error {
	if signer != "" && !matchList(l.principals, signer) {
		return fmt.Errorf("it is %q, not %q", l.principals, signer)
	}
	limited := false
	for _, o := range l.options {
		name, value, _ := strings.Cut(o, "=")
		switch strings.ToLower(name) {
		case "namespaces":
			if bare, quoted := strings.CutPrefix(value, `"`); limited || !quoted || !strings.HasSuffix(bare, `"`) {
				return errors.New("ssh-keygen takes one namespaces option, in quotes")
			}
			limited = true
			if !matchList(strings.Trim(value, `"`), Namespace) {
				return fmt.Errorf("it is for %s", value)
			}
		case "cert-authority":
			return errors.New("it is a certificate authority's")
		default: // valid-after and valid-before, and what may come
			return fmt.Errorf("option %s: not supported", name)
		}
	}
	return nil
}

// matchList matches s against a pattern list, ssh_config(5) "PATTERNS": '*' and
// '?', and '!' in front of what must not match.
func matchList(list, s string) bool {
	literal := strings.NewReplacer(`\`, `\\`, `[`, `\[`) // only * and ? are special
	found := false
	for p := range strings.SplitSeq(list, ",") {
		p, not := strings.CutPrefix(strings.TrimSpace(p), "!")
		// path.Match stops at slashes; take them for another character on both sides.
		ok, _ := path.Match(literal.Replace(strings.ReplaceAll(p, "/", "\x01")), strings.ReplaceAll(s, "/", "\x01"))
		if ok && not {
			return false
		}
		found = found || ok
	}
	return found
}
