// Package sums reads files of SHA-256 sums, as sha256sum(1), its --tag, BSD's sha256 and PowerShell's redirections write
// them. A line is understood or the file is refused: a line that is passed over is an image that was not checked.
package sums

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf16"
)

// Sum is one line.
type Sum struct {
	Name string // "" where the line has a sum alone; "-" for standard input, of openssl's "stdin"
	SHA  string // in lower-case hex
}

// Errors of Parse and Of.
var (
	ErrLine  = errors.New("no line of SHA-256 sums")
	ErrTwice = errors.New("it names the image more than once, with different sums")
)

var (
	plainLine  = regexp.MustCompile(`(?s)^([0-9A-Fa-f]{64})(?:[ \t]+)?$`)
	namedLine  = regexp.MustCompile(`(?s)^([0-9A-Fa-f]{64})[ \t](.+)$`)
	taggedLine = regexp.MustCompile(`(?s)^([A-Za-z0-9/-]+) ?\((.+)\) ?= ?([0-9A-Fa-f]+)[ \t]*$`)
)

// Parse reads a file of sums.
func Parse(b []byte) ([]Sum, error) {
	text, err := decodeText(b)
	if err != nil {
		return nil, err
	}
	var all []Sum
	at, n := outsideMessage, 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		was := at
		if at = at.afterLine(line); at != outsideMessage || was != outsideMessage || strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s, ok, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %.80q", n, err, line)
		}
		if ok {
			all = append(all, s)
		}
	}
	if at != outsideMessage {
		return nil, fmt.Errorf("%w: a signature that has no end", ErrLine)
	}
	return all, nil
}

// decodeText is the text of a file that may begin with a byte order mark, and be UTF-16 then, as PowerShell writes it.
func decodeText(b []byte) (string, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		order = binary.BigEndian
	}
	if order != nil {
		if len(b)%2 != 0 {
			return "", errors.New("half a character of UTF-16 at its end")
		}
		var units []uint16
		for b = b[2:]; len(b) > 0; b = b[2:] {
			units = append(units, order.Uint16(b))
		}
		b = []byte(string(utf16.Decode(units)))
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if bytes.IndexByte(b, 0) >= 0 {
		return "", errors.New("it is no text")
	}
	return string(b), nil
}

// clearsignState is where one is in a message that gpg --clearsign made (RFC 9580, section 7): the signature is not looked at, and
// what it signs is read like any other file.
type clearsignState int

const (
	outsideMessage clearsignState = iota
	messageHeaders
	messageSignature
)

// afterLine is where one is behind a line.
func (c clearsignState) afterLine(line string) clearsignState {
	switch {
	case line == "-----BEGIN PGP SIGNED MESSAGE-----":
		return messageHeaders
	case line == "-----BEGIN PGP SIGNATURE-----":
		return messageSignature
	case c == messageHeaders && line == "", c == messageSignature && line == "-----END PGP SIGNATURE-----":
		return outsideMessage
	}
	return c
}

// parseLine reads one line; false for one that is understood and tells no SHA-256.
func parseLine(line string) (Sum, bool, error) {
	line = strings.TrimPrefix(line, "- ") // escaped in a signed message; no sum begins so
	rest, escaped := strings.CutPrefix(line, `\`)
	if m := taggedLine.FindStringSubmatch(rest); m != nil {
		name, err := unescapeName(m[2], escaped)
		switch {
		case err != nil:
			return Sum{}, false, err
		case !strings.EqualFold(m[1], "SHA256") && !strings.EqualFold(m[1], "SHA2-256") && !strings.EqualFold(m[1], "SHA-256"):
			return Sum{}, false, nil // another algorithm's
		case len(m[3]) != 64:
			return Sum{}, false, ErrLine
		}
		return Sum{name, strings.ToLower(m[3])}, true, nil
	}
	if m := plainLine.FindStringSubmatch(rest); m != nil && !escaped {
		return Sum{"", strings.ToLower(m[1])}, true, nil
	}
	m := namedLine.FindStringSubmatch(rest)
	if m == nil {
		return Sum{}, false, ErrLine
	}
	name := m[2]
	if name[0] == ' ' || name[0] == '*' || name[0] == '\t' { // the second of the two characters: text, or binary
		name = name[1:]
	}
	name, err := unescapeName(name, escaped)
	if err == nil && name == "" {
		err = ErrLine
	}
	return Sum{name, strings.ToLower(m[1])}, err == nil, err
}

// unescapeName undoes what sha256sum does to a name with a line break or a backslash in it; such a line begins with a backslash.
func unescapeName(name string, escaped bool) (string, error) {
	if !escaped {
		return name, nil
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '\\' {
			b.WriteByte(name[i])
			continue
		}
		if i++; i == len(name) {
			return "", ErrLine
		}
		switch name[i] {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case '\\':
			b.WriteByte('\\')
		default:
			return "", ErrLine
		}
	}
	return b.String(), nil
}

// Of is the sum of the file at the absolute path, "" where none of the lines is meant for it. A line that names it without a
// directory counts before one with a directory that fits, and that before one with any other: who made sums somewhere else
// and copied both named the same file. Where the first of these say two things it is [ErrTwice].
func Of(all []Sum, abs string) (string, error) {
	base := path.Base(abs)
	for _, fits := range []func(name string) bool{
		func(name string) bool { return name == base },
		func(name string) bool { return name == abs || name != base && strings.HasSuffix(abs, "/"+name) },
		func(name string) bool { return lastOf(name) == base },
		func(name string) bool { return strings.TrimRight(lastOf(name), " \t") == base },
	} {
		found := ""
		for _, s := range all {
			if name := strings.TrimPrefix(s.Name, "./"); !fits(name) && !fits(path.Clean(name)) {
				continue
			}
			if found != "" && found != s.SHA {
				return "", ErrTwice
			}
			found = s.SHA
		}
		if found != "" {
			return found, nil
		}
	}
	return "", nil
}

// lastOf is a name without its directories, Windows' too.
func lastOf(name string) string { return name[strings.LastIndexAny(name, `/\`)+1:] }

// Alone is the sum of a file that tells one and no name, or standard input's; "" for any other.
func Alone(all []Sum) string {
	if len(all) == 1 && (all[0].Name == "" || all[0].Name == "-" || all[0].Name == "stdin") {
		return all[0].SHA
	}
	return ""
}

// Is reports whether s is a SHA-256 as sha256sum(1) prints it.
func Is(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
