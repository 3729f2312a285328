package device

import (
	"os"
	"os/user"
	"strings"
)

// unquote takes the quotes off a value that is quoted as a whole.
func unquote(v string) string {
	if inner := strings.Trim(v, `"`); len(v) == len(inner)+2 && !strings.Contains(inner, `"`) {
		return inner
	}
	return v
}

// words are the words of a value, each of which may be quoted.
func words(v string) []string {
	var all []string
	for i, part := range strings.Split(v, `"`) {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}

// expander replaces ~ and the tokens of ssh_config(5), "TOKENS", in a file name.
func (s *settings) expander(home string) func(string) string {
	local := ""
	if u, err := user.Current(); err == nil {
		local = u.Username
	}
	r := strings.NewReplacer("%%", "%", "%d", home, "%h", s.Host, "%n", s.alias, "%p", s.Port, "%r", s.User, "%u", local)
	return func(f string) string {
		if f == "~" || strings.HasPrefix(f, "~/") {
			f = home + f[1:]
		}
		return os.ExpandEnv(r.Replace(f))
	}
}

// agentSocket is IdentityAgent's meaning.
func agentSocket(configured string, expand func(string) string) string {
	switch {
	case configured == "none":
		return ""
	case configured == "" || configured == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK")
	}
	return expand(configured)
}
