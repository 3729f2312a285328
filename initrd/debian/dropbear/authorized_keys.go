package dropbear

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Limits of svr-authpubkey.c, the same in all four versions. Dropbear's buffer
// holds 4200 bytes and a line that fills it is given up, so 4199 is the longest.
const (
	minLine    = 10
	maxLine    = 4199
	minRSABits = 1024
)

// ErrPrivateKey says that a private key was given where public ones belong.
var ErrPrivateKey = errors.New("this holds a private key: give its public half instead (FILE.pub, or ssh-keygen -y -f FILE)")

// AuthorizedKey is one line of authorized_keys that holds a key.
type AuthorizedKey struct {
	Line    int    // counted from 1
	Text    string // the line as written, without its end
	Options string // what stands before the key, as written; "" for none
	Key     ssh.PublicKey
	Comment string // what stands behind the key, as written
}

// Type returns the key's SSH type: "ssh-ed25519".
func (k AuthorizedKey) Type() string { return k.Key.Type() }

// Fingerprint returns the key's fingerprint, "SHA256:...".
func (k AuthorizedKey) Fingerprint() string { return Fingerprint(k.Key) }

// SameKey reports whether another line has the same key, whatever else stands there.
func (k AuthorizedKey) SameKey(o AuthorizedKey) bool {
	return bytes.Equal(k.Key.Marshal(), o.Key.Marshal())
}

// String returns the line that ssh-keygen -lf prints for the key.
func (k AuthorizedKey) String() string { return Identity(k.Key, k.Comment) }

// ParseAuthorizedKeys reads an authorized_keys file as dropbear does, whatever
// its version. Each line that is neither a key, a comment nor blank gives a
// problem, "line 3: ...", none of which repeats the line. The error is
// ErrPrivateKey; keys are returned besides, because dropbear would read them all the same.
func ParseAuthorizedKeys(b []byte) (keys []AuthorizedKey, problems []string, err error) {
	for n, line := range numberedLines(b) {
		k, err := parseLine(line)
		switch {
		case err != nil:
			problems = addProblem(problems, n, err)
		case k.Key != nil:
			k.Line = n
			keys = append(keys, k)
		}
	}
	if isPrivate(b) {
		return keys, nil, fmt.Errorf("authorized_keys: %w", ErrPrivateKey)
	}
	return keys, problems, nil
}

// addProblem adds what is wrong with a line. Of one that dropbear takes for several the same is said once.
func addProblem(problems []string, line int, err error) []string {
	p := fmt.Sprintf("line %d: %v", line, err)
	if len(problems) > 0 && problems[len(problems)-1] == p {
		return problems
	}
	return append(problems, p)
}

// isPrivate knows private keys in OpenSSH's, PEM's, PuTTY's and dropbear's form.
func isPrivate(b []byte) bool {
	if bytes.HasPrefix(b, []byte{0, 0, 0}) || bytes.Contains(b, []byte("PuTTY-User-Key-File")) {
		return true
	}
	for {
		_, rest, ok := bytes.Cut(b, []byte("-----BEGIN "))
		if !ok {
			return false
		}
		head, _, _ := bytes.Cut(rest, []byte("\n"))
		if bytes.Contains(head, []byte("PRIVATE KEY")) {
			return true
		}
		b = rest
	}
}

// numberedLines yields dropbear's lines with our number. A carriage return ends a line
// for dropbear, but not for the editor that shows the number. Of a line that is longer than
// dropbear's buffer, as much as fills the buffer is passed over, and the rest is a line of its own.
func numberedLines(b []byte) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for row := range strings.Lines(string(b)) {
			n++
			for piece := range strings.SplitSeq(strings.TrimSuffix(row, "\n"), "\r") {
				for ; len(piece) > maxLine+1; piece = piece[maxLine+1:] {
					if !yield(n, piece[:maxLine+1]) {
						return
					}
				}
				if piece != "" && !yield(n, piece) {
					return
				}
			}
		}
	}
}

// parseLine reads one line. A blank line or comment has neither key nor error.
func parseLine(line string) (AuthorizedKey, error) {
	none := AuthorizedKey{}
	if len(line) > maxLine {
		return none, fmt.Errorf("dropbear gives up a line of more than %d bytes", maxLine)
	}
	trimmed := strings.TrimLeft(line, " \t")
	if trimmed == "" || trimmed[0] == '#' {
		return none, nil
	}
	if len(line) < minLine || strings.IndexByte(line, 0) >= 0 {
		return none, errors.New("not text that could hold a key")
	}
	options, rest := splitOptions(line)
	kind, rest, ok := strings.Cut(rest, " ")
	if !ok || !looksLikeType(kind) {
		return none, whyMisplaced(trimmed)
	}
	b64, comment, _ := strings.Cut(rest, " ")
	blob, err := decodeLoosely(b64)
	if err != nil || b64 == "" {
		return none, errors.New("the key itself is not base64 (one blank goes before it and one behind)")
	}
	pub, err := parsePublicKey(blob)
	if err != nil {
		return none, errors.New("the key is damaged, or of a kind that ssh does not have")
	}
	if pub.Type() != kind {
		return none, errors.New("the key is of another kind than the line says")
	}
	return AuthorizedKey{Text: line, Options: options, Key: pub, Comment: comment}, nil
}

// decodeLoosely decodes base64 as dropbear's libtomcrypt does: what is none of its digits is passed over, wherever it
// stands, and so are bits that fill no byte.
func decodeLoosely(text string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.Map(func(r rune) rune {
		if r == '+' || r == '/' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, text))
}

func looksLikeType(word string) bool {
	return strings.HasPrefix(word, "ssh-") || strings.HasPrefix(word, "ecdsa-") || strings.HasPrefix(word, "sk-")
}

// whyMisplaced says why no key was found where dropbear looks for it.
func whyMisplaced(trimmed string) error {
	word := trimmed
	if i := strings.IndexAny(word, " \t"); i >= 0 {
		word = word[:i]
	}
	switch {
	case looksLikeType(word):
		return errors.New("dropbear wants the key's type at the very start of the line and one blank behind it, no tab")
	case strings.HasPrefix(word, "\ufeff"):
		return errors.New("a byte order mark stands before the text: dropbear takes it for an option")
	case strings.HasPrefix(trimmed, "---- BEGIN SSH2"):
		return errors.New("a key in RFC 4716's form: convert it (ssh-keygen -i -f FILE)")
	}
	return errors.New("no key where dropbear looks for one (options, one blank, type, one blank, key)")
}
