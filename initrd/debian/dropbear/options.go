package dropbear

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// splitOptions parts a line into options and the rest, which begins with the
// key's type. Without options a type stands at the very start; behind leading
// blanks dropbear takes any word for options. They end at the first blank
// outside quotes; a backslash does not protect a quote here, though it does
// within command="...".
func splitOptions(line string) (options, rest string) {
	if kind, _, ok := strings.Cut(line, " "); ok && looksLikeType(kind) {
		return "", line
	}
	s := strings.TrimLeft(line, " \t")
	quoted := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t'):
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

var (
	plainOptions = []string{"no-port-forwarding", "no-agent-forwarding", "no-X11-forwarding", "no-pty"}
	laterOptions = []string{"restrict", "no-touch-required", "verify-required"}
)

// checkOptions reports what would make this version pass over a line with these
// options: one it does not know, or a value that it cannot read.
func (v Version) checkOptions(s string) error {
	commands := 0
	for s != "" {
		// Empty options, as in "no-pty,,restrict,", are fine with dropbear.
		rest, err := v.cutOption(s, &commands)
		if err != nil {
			return err
		}
		if rest != "" && rest[0] != ',' {
			return v.unknownOption(s)
		}
		s = strings.TrimPrefix(rest, ",")
	}
	return nil
}

// cutOption cuts one option off the front of s, or nothing if it knows none.
func (v Version) cutOption(s string, commands *int) (string, error) {
	known := plainOptions
	if v.moreOptions {
		known = append(known[:len(known):len(known)], laterOptions...)
	}
	for _, o := range known {
		if rest, ok := cutFold(s, o); ok {
			return rest, nil
		}
	}
	if rest, ok := cutFold(s, `command="`); ok {
		if *commands++; *commands > 1 {
			return "", errors.New("two command= options")
		}
		return cutCommand(rest)
	}
	if rest, ok := cutFold(s, `permitopen="`); ok && v.moreOptions {
		value, rest, ok := strings.Cut(rest, `"`)
		if !ok || !isHostPort(value) {
			return "", errors.New(`permitopen wants "host:port"`)
		}
		return rest, nil
	}
	return s, nil
}

// cutFold is CutPrefix without regard to the case of ASCII letters.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// cutCommand cuts up to the closing quote, which is one without a backslash.
func cutCommand(s string) (string, error) {
	escaped := false
	for i := range len(s) {
		if s[i] == '"' && !escaped {
			return s[i+1:], nil
		}
		escaped = !escaped && s[i] == '\\'
	}
	return "", errors.New("command= is not closed (dropbear ends options at a blank behind an escaped quote)")
}

// isHostPort takes what dropbear's split_address_port and strtoul take, but for
// signs and blanks around the number.
func isHostPort(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return false
	}
	host, port := s[:i], s[i+1:]
	if strings.HasPrefix(host, "[") {
		host = host[1:]
		if strings.IndexByte(host, ']') != len(host)-1 {
			return false
		}
		host = strings.TrimSuffix(host, "]")
	}
	_, err := strconv.ParseUint(port, 10, 32)
	return host != "" && (port == "*" || err == nil)
}

func (v Version) unknownOption(s string) error {
	if i := strings.IndexAny(s, `,="`); i > 0 {
		s = s[:i]
	}
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return fmt.Errorf("%v passes over a line with the option %q, which it does not know", v, s)
}

// Forced is the command= that runs whatever the key's owner asks for, and whether
// there is one. Of options that make dropbear pass over the line it knows nothing.
func (k AuthorizedKey) Forced() (command string, ok bool) {
	all, commands := Version{moreOptions: true}, 0
	for s := k.Options; s != ""; {
		before := commands
		rest, err := all.cutOption(s, &commands)
		switch {
		case err != nil, rest == s && s[0] != ',':
			return "", false
		case commands > before:
			return s[len(`command="`) : len(s)-len(rest)-1], true
		}
		s = strings.TrimPrefix(rest, ",")
	}
	return "", false
}
