package sysroot

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Release reads the tree's os-release(5), in etc or else in usr/lib: for instance
// "debian", "bookworm", "12". What the file does not say is empty, but for id,
// which then is "linux". Debian's unstable has no version, its testing only a
// codename.
func Release(fsys fs.FS) (id, codename, versionID string, err error) {
	name, err := Find(fsys, "etc/os-release", "usr/lib/os-release")
	if err != nil {
		return "", "", "", fmt.Errorf("reading the release: %w", err)
	}
	b, err := readFile(fsys, name, 1<<20)
	if err != nil {
		return "", "", "", fmt.Errorf("reading the release: %w", err)
	}
	id = "linux"
	for line := range strings.SplitSeq(string(b), "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		if value, err = unquote(value); err != nil {
			return "", "", "", fmt.Errorf("reading the release: %s: %s: %w", name, show(key), err)
		}
		switch key {
		case "ID":
			id = value
		case "VERSION_CODENAME":
			codename = value
		case "VERSION_ID":
			versionID = value
		}
	}
	return id, codename, versionID, nil
}

// unquote reads a value as a shell would, without expansions: parts in single
// quotes, in double quotes with backslash before $, ", \ and `, and bare ones.
func unquote(s string) (string, error) {
	var out strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		case quote == 0 && (c == ' ' || c == '\t'):
			return out.String(), nil // a comment, or a word the shell would run
		case c == '\\' && quote != '\'' && i+1 < len(s) && (quote == 0 || strings.IndexByte("$\"\\`", s[i+1]) >= 0):
			i++
			out.WriteByte(s[i])
		default:
			out.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", errors.New("quote without an end")
	}
	return out.String(), nil
}
