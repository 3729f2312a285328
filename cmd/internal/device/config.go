package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// settings is a target with what ssh_config(5) adds to it.
type settings struct {
	Target                  // User, Host (after HostName) and Port, all set
	alias          string   // the host as given
	identities     []string // files, as configured; the default ones if none are
	identitiesOnly bool
	agent          string // the agent's socket; "" for none
	jump           string // as ProxyJump has it; "" for none
	knownHosts     []string
	hostKeyAlias   string
}

// configs are ssh_config(5) files, the first one's word before the others'.
type configs []*ssh_config.Config

// readConfigs reads the given file, or else the user's and the machine's.
func readConfigs(path, home string) (configs, error) {
	files := []string{path}
	switch path {
	case "none":
		return nil, nil
	case "":
		files = []string{filepath.Join(home, ".ssh/config"), "/etc/ssh/ssh_config"}
	}
	var all configs
	for _, name := range files {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && path == "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the ssh configuration: %w", err)
		}
		c, err := ssh_config.Decode(f)
		f.Close()
		if err != nil {
			return nil, hint(fmt.Errorf("reading %s: %w", name, err),
				"Match exec and some other conditions are not understood; --ssh-config FILE names another file, --ssh-config none does without")
		}
		all = append(all, c)
	}
	return all, nil
}

func (cs configs) get(alias, key string) string {
	for _, c := range cs {
		if v, err := c.Get(alias, key); err == nil && v != "" {
			return unquote(v)
		}
	}
	return ""
}

func (cs configs) all(alias, key string) []string {
	var all []string
	for _, c := range cs {
		values, _ := c.GetAll(alias, key)
		for _, v := range values {
			all = append(all, unquote(v))
		}
	}
	return all
}

// resolve looks a target up.
func resolve(target string, o Options) (*settings, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("reading the ssh configuration: %w", err)
	}
	cs, err := readConfigs(o.Config, home)
	if err != nil {
		return nil, err
	}
	s := &settings{Target: t, alias: t.Host, hostKeyAlias: cs.get(t.Host, "HostKeyAlias")}
	if err := s.address(cs, o); err != nil {
		return nil, fmt.Errorf("target %q: %w", target, err)
	}
	expand := s.expander(home)
	s.identitiesOnly = strings.EqualFold(cs.get(s.alias, "IdentitiesOnly"), "yes")
	for _, f := range cs.all(s.alias, "IdentityFile") {
		if f != "none" {
			s.identities = append(s.identities, expand(f))
		}
	}
	if len(s.identities) == 0 {
		for _, f := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			s.identities = append(s.identities, filepath.Join(home, ".ssh", f))
		}
	}
	known := cs.get(s.alias, "UserKnownHostsFile")
	if known == "" {
		known = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
	}
	global := cs.get(s.alias, "GlobalKnownHostsFile")
	if global == "" {
		global = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
	}
	for _, f := range append(words(known), words(global)...) {
		if f != "none" {
			s.knownHosts = append(s.knownHosts, expand(f))
		}
	}
	s.agent = agentSocket(cs.get(s.alias, "IdentityAgent"), expand)
	return s, s.proxy(cs)
}

// address fills in user, host and port.
func (s *settings) address(cs configs, o Options) error {
	if name := cs.get(s.alias, "HostName"); name != "" {
		s.Host = strings.ReplaceAll(strings.ReplaceAll(name, "%h", s.alias), "%%", "%")
	}
	if o.Port != "" {
		s.Port = o.Port
	}
	if s.Port == "" {
		s.Port = cs.get(s.alias, "Port")
	}
	if s.Port == "" {
		s.Port = "22"
	}
	if s.User == "" {
		s.User = cs.get(s.alias, "User")
	}
	if o.User != "" {
		s.User = o.User
	}
	if s.User == "" {
		if u, err := user.Current(); err == nil {
			s.User = u.Username
		}
	}
	switch {
	case !validHost(s.Host):
		return fmt.Errorf("the configuration's HostName %q is no host", s.Host)
	case !validPort(s.Port):
		return fmt.Errorf("port %q is not a number from 1 to 65535", s.Port)
	case !validUser(s.User):
		return fmt.Errorf("the configuration's User %q is no user", s.User)
	}
	return nil
}

// proxy reads ProxyJump; another program in between is refused rather than left out.
func (s *settings) proxy(cs configs) error {
	s.jump = cs.get(s.alias, "ProxyJump")
	if s.jump == "none" {
		s.jump = ""
	}
	if c := cs.get(s.alias, "ProxyCommand"); c != "" && c != "none" && s.jump == "" {
		return hint(fmt.Errorf("target %s: the configuration has a ProxyCommand, which is not supported", s.alias), "ProxyJump is")
	}
	return nil
}
