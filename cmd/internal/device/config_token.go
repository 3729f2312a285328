package device

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"groundhog/cmd/internal/home"
)

// localUser is the user on our side. ssh(1) takes the home directory from the password database, not from $HOME.
type localUser struct{ name, uid, home, host string }

func whoAmI() (localUser, error) {
	me := home.Me()
	host, err := os.Hostname()
	return localUser{me.Name, me.ID, me.Dir, host}, err
}

// expandTilde is a file's name with ~ or ~USER replaced.
func (me localUser) expandTilde(f string) (string, error) {
	if !strings.HasPrefix(f, "~") {
		return f, nil
	}
	name, rest, _ := strings.Cut(f[1:], "/")
	home := me.home
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", f, err)
		}
		home = u.HomeDir
	}
	return strings.TrimSuffix(home, "/") + "/" + rest, nil
}

// expandTildes is expandTilde of some files.
func (me localUser) expandTildes(files []string) (all []string, err error) {
	for _, f := range files {
		if f, err = me.expandTilde(f); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// tokenValues are what stands for the tokens of ssh_config(5), "TOKENS", in a file's name.
type tokenValues struct {
	me    localUser
	value map[byte]string
}

func (s *sshSettings) tokensFor(me localUser) tokenValues {
	known := s.hostKeyAlias
	if known == "" {
		known = s.alias
	}
	short, _, _ := strings.Cut(me.host, ".")
	v := map[byte]string{'%': "%", 'd': me.home, 'h': s.Host, 'i': me.uid, 'k': known, 'L': short, 'l': me.host,
		'n': s.alias, 'p': s.Port, 'r': s.User, 'u': me.name}
	// Whether the jump host is part of %C depends on ssh's release (9.6); without one it makes no difference.
	if s.jump == "" {
		sum := sha1.Sum([]byte(me.host + s.Host + s.Port + s.User))
		v['C'], v['j'] = hex.EncodeToString(sum[:]), ""
	}
	return tokenValues{me, v}
}

// expandFile is a file's name with everything in it replaced, in ssh's order.
func (t tokenValues) expandFile(f string) (string, error) {
	f, err := t.me.expandTilde(f)
	if err != nil {
		return "", err
	}
	return t.expandTokens(f, os.LookupEnv)
}

// expandFiles are some names but for "none".
func (t tokenValues) expandFiles(names []string) (all []string, err error) {
	for _, name := range names {
		if strings.EqualFold(name, "none") {
			continue
		}
		if name, err = t.expandFile(name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, nil
}

// expandTokens replaces tokens and, where env is given, ${NAME}. What is unknown is an error, as it is for ssh.
func (t tokenValues) expandTokens(text string, env func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '%':
			if i++; i == len(text) {
				return "", fmt.Errorf("%q ends in the middle of a token", text)
			}
			v, ok := t.value[text[i]]
			if !ok {
				return "", fmt.Errorf("%q: %%%c is not supported here", text, text[i])
			}
			b.WriteString(v)
		case env != nil && strings.HasPrefix(text[i:], "${"):
			n := strings.IndexByte(text[i:], '}')
			if n < 0 {
				return "", fmt.Errorf("%q: ${ is not closed", text)
			}
			v, ok := env(text[i+2 : i+n])
			if !ok {
				return "", fmt.Errorf("%q: the environment has no %s", text, text[i+2:i+n])
			}
			b.WriteString(v)
			i += n
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String(), nil
}

// agentSocket is IdentityAgent's meaning: a socket, "" for none. A name after a dollar is a variable's.
func agentSocket(configured []string) string {
	if len(configured) == 0 || configured[0] == "SSH_AUTH_SOCK" {
		return os.Getenv("SSH_AUTH_SOCK")
	}
	switch c := configured[0]; {
	case strings.EqualFold(c, "none"):
		return ""
	case strings.HasPrefix(c, "$") && !strings.HasPrefix(c, "${"):
		return os.Getenv(c[1:])
	default: // ssh -G has replaced the tokens in it
		return c
	}
}

// proxyCommand is the command with its tokens replaced. It is given to a shell as it is, as ssh does; what we put
// into it (validHost, validUser) means nothing to a shell.
func (s *sshSettings) proxyCommand(command string) (string, error) {
	t := s.proxyTokens()
	if strings.Contains(command, "%k") && !validHost(t.value['k']) {
		return "", errors.New("the configuration's HostKeyAlias is not fit for a command")
	}
	return t.expandTokens(command, nil)
}

// proxyTokens are what stands for the tokens of a ProxyCommand, and of a ProxyJump, of which ssh makes one.
func (s *sshSettings) proxyTokens() tokenValues {
	known := s.hostKeyAlias
	if known == "" {
		known = s.alias
	}
	return tokenValues{value: map[byte]string{'%': "%", 'h': s.Host, 'k': known, 'n': s.alias, 'p': s.Port, 'r': s.User}}
}
