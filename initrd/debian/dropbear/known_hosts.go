package dropbear

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// KnownHosts returns known_hosts lines (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"),
// one per key, all for the same hosts: ed25519 first, then ecdsa, rsa and the
// rest. A key given twice is written once.
//
// A host is a name or an address, with '*' and '?' as wildcards and '!' in front
// to exclude; with a port other than 22 it is "[host]:port". No host at all
// means "*", any host on any port for OpenSSH; golang.org/x/crypto/ssh/knownhosts
// takes it for port 22 only, so name "[host]:port" there.
func KnownHosts(hosts []string, keys ...ssh.PublicKey) ([]byte, error) {
	if len(hosts) == 0 {
		hosts = []string{"*"}
	}
	var patterns []string
	include := false
	for _, h := range hosts {
		p, err := hostPattern(h)
		if err != nil {
			return nil, fmt.Errorf("known_hosts: host %q: %w", h, err)
		}
		include = include || p[0] != '!'
		patterns = append(patterns, p)
	}
	if !include {
		return nil, errors.New("known_hosts: only excluded hosts: such a line matches nothing")
	}
	if len(keys) == 0 || slices.Contains(keys, nil) {
		return nil, errors.New("known_hosts: no key to list")
	}
	keys = slices.SortedFunc(slices.Values(keys), compareKeys)
	keys = slices.CompactFunc(keys, func(a, b ssh.PublicKey) bool { return compareKeys(a, b) == 0 })
	var out bytes.Buffer
	for _, k := range keys {
		fmt.Fprintf(&out, "%s %s", strings.Join(patterns, ","), ssh.MarshalAuthorizedKey(k))
	}
	return out.Bytes(), nil
}

func compareKeys(a, b ssh.PublicKey) int {
	return cmp.Or(cmp.Compare(keyRank(a), keyRank(b)), cmp.Compare(a.Type(), b.Type()), bytes.Compare(a.Marshal(), b.Marshal()))
}

func keyRank(k ssh.PublicKey) int {
	switch keyLabel(k.Type()) {
	case "ED25519":
		return 0
	case "ECDSA":
		return 1
	case "RSA":
		return 2
	}
	return 3
}

// hostPattern checks one pattern and returns it as OpenSSH would look it up: in
// lower case, and without brackets where the port is 22.
func hostPattern(s string) (string, error) {
	host, not := strings.CutPrefix(strings.ToLower(s), "!")
	port := ""
	if strings.HasPrefix(host, "[") {
		h, p, err := net.SplitHostPort(host)
		if err != nil {
			return "", errors.New("want [host]:port")
		}
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != p {
			return "", errors.New("the port is a number from 1 to 65535")
		}
		host, port = h, p
	}
	if host == "" {
		return "", errors.New("empty")
	}
	for _, c := range []byte(host) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte(".-_:%*?", c) >= 0) {
			return "", errors.New("only letters, digits and . - _ : % * ? can stand in a host pattern")
		}
	}
	if port == "" && strings.Count(host, ":") == 1 {
		return "", errors.New("a host with a port is written [host]:port")
	}
	if port != "" && port != "22" {
		host = "[" + host + "]:" + port
	}
	if not {
		host = "!" + host
	}
	return host, nil
}
