package device

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"groundhog/cmd/internal/hint"
)

// Target is a device as the user names it: [user@]host[:port], an IPv6 address
// with a port in brackets. What is not given is empty.
type Target struct{ User, Host, Port string }

// ParseTarget reads a target. Host may be a name in ssh_config(5). As ssh(1) does it takes ssh://[user@]host[:port], too, in which an IPv6 address is always in brackets.
func ParseTarget(s string) (Target, error) {
	t, err := parseTarget(s)
	if err != nil {
		return Target{}, hint.To(fmt.Errorf("target %.100q: %w", s, err), "a target is [user@]host[:port]; an IPv6 address with a port is [addr]:port")
	}
	return t, nil
}

func parseTarget(s string) (t Target, err error) {
	s, isURL := strings.CutPrefix(s, "ssh://")
	if isURL {
		s = strings.TrimSuffix(s, "/")
	}
	t.Host = s
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		t.User, t.Host = s[:i], s[i+1:]
		if !validUser(t.User) {
			return t, errors.New("not a user name")
		}
	}
	switch {
	case strings.HasPrefix(t.Host, "[") && strings.HasSuffix(t.Host, "]"):
		t.Host = t.Host[1 : len(t.Host)-1]
	case strings.HasPrefix(t.Host, "["), strings.Count(t.Host, ":") == 1:
		if t.Host, t.Port, err = net.SplitHostPort(t.Host); err != nil {
			return t, errors.New("not host:port")
		}
		if !validPort(t.Port) {
			return t, errors.New("the port is a number from 1 to 65535")
		}
		t.Port = strings.TrimLeft(t.Port, "0") // 022 is 22 for ssh, too
	case isURL && strings.Contains(t.Host, ":"):
		return t, errors.New("an IPv6 address in a URL is in brackets")
	}
	if !validHost(t.Host) {
		return t, errors.New("not a host name or address")
	}
	return t, nil
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// validUser and validHost let nothing through that a shell, a path or an option
// could take for something else. A host fits in a file's name. A user of a directory service may have a domain, before a backslash or behind an @.
func validUser(s string) bool {
	return s != "" && s[0] != '-' && len(s) <= 256 && strings.Trim(s, wordBytes+"\\@+") == ""
}

func validHost(s string) bool {
	return s != "" && s[0] != '-' && s[0] != '.' && len(s) <= 200 && strings.Trim(s, wordBytes+":%") == ""
}

const wordBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// String is the target as ParseTarget reads it.
func (t Target) String() string {
	s := t.Host
	switch {
	case t.Port != "":
		s = net.JoinHostPort(t.Host, t.Port)
	case strings.Contains(t.Host, ":"):
		s = "[" + t.Host + "]"
	}
	if t.User != "" {
		s = t.User + "@" + s
	}
	return s
}
