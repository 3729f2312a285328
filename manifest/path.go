package manifest

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPath is the longest path or target in bytes, PATH_MAX; written with
// escapes it may take four times that.
const maxPath = 4096

// EscapePath writes a name of any bytes as valid UTF-8: a backslash is doubled
// and a byte that is not part of valid UTF-8 becomes \xNN. Different names stay
// different.
func EscapePath(name string) string {
	if utf8.ValidString(name) && strings.IndexByte(name, '\\') < 0 {
		return name
	}
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, name[0])
		case r == '\\':
			b.WriteString(`\\`)
		default:
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	return b.String()
}

// UnescapePath is the name that [EscapePath] wrote as s. A string that it never
// writes is an error.
func UnescapePath(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for rest := s; rest != ""; {
		before, after, found := strings.Cut(rest, `\`)
		b.WriteString(before)
		if !found {
			break
		}
		if rest, found = strings.CutPrefix(after, `\`); found {
			b.WriteByte('\\')
			continue
		}
		if len(after) < 3 || after[0] != 'x' {
			return "", fmt.Errorf("%q: a backslash alone", s)
		}
		c, err := strconv.ParseUint(after[1:3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q: a backslash alone", s)
		}
		b.WriteByte(byte(c))
		rest = after[3:]
	}
	name := b.String()
	if EscapePath(name) != s {
		return "", fmt.Errorf("%q: not the one way to write that name", s)
	}
	return name, nil
}

// checkPath accepts the paths that an archive's tree can have, as they are
// written in a manifest.
func checkPath(s string) error {
	name, err := UnescapePath(s)
	if err != nil {
		return err
	}
	switch {
	case name == "" || name[0] == '/' || strings.IndexByte(name, 0) >= 0 || path.Clean(name) != name,
		name == "..", strings.HasPrefix(name, "../"):
		return fmt.Errorf("%q: not a path in an archive", s)
	case len(name) > maxPath:
		return errors.New("a path of more than 4096 bytes")
	}
	return nil
}
