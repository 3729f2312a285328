package device

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"groundhog/cmd/internal/hint"
)

// sshSettings is a target with what ssh_config(5) adds to it.
type sshSettings struct {
	Target                       // User, Host (after HostName) and Port, all set
	alias          string        // the host as given
	identities     []string      // files, as configured; the default ones if none are
	certificates   []string      // files, as configured
	identitiesOnly bool          // the agent's other keys are not used
	agent          string        // the agent's socket; "" for none
	jump           string        // as ProxyJump has it; "" for none
	proxy          string        // a program in place of a connection, for a shell; "" for none
	network        string        // "tcp", "tcp4" or "tcp6"
	bind           string        // the address on our side; "" for any
	knownHosts     []string      // files
	hostKeyAlias   string        // the name that known_hosts has it under; "" for its own
	knownCommand   string        // a program that knows host keys, which we do not run; "" for none
	revoked        string        // a file of host keys that are not to be trusted; "" for none
	connectTimeout time.Duration // as configured; 0 where it is not
}

// configAnswers are the values of ssh_config(5) that hold for one target, by the option's name in lower
// case. Defaults are there, too. A list of files has one value a file.
type configAnswers map[string][]string

// firstValue is an option's first value. The words for "no value" are no value.
func (a configAnswers) firstValue(option string) string {
	if len(a[option]) == 0 || strings.EqualFold(a[option][0], "none") {
		return ""
	}
	return a[option][0]
}

// resolveTarget looks a target up. ssh(1) is asked where there is one, which everybody's configuration was written
// for; without it only what we understand exactly is taken.
func resolveTarget(ctx context.Context, target string, o Options) (*sshSettings, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	alias := t.Host
	if o.User != "" {
		t.User = o.User
	}
	if o.Port != "" {
		t.Port = o.Port
	}
	me, err := whoAmI()
	if err != nil {
		return nil, fmt.Errorf("reading the ssh configuration: %w", err)
	}
	a, err := askConfig(ctx, t, o.Config, me)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", target, err)
	}
	s := &sshSettings{alias: alias, Target: Target{a.firstValue("user"), a.firstValue("hostname"), a.firstValue("port")}}
	if err := s.takeValues(a, me); err != nil {
		return nil, fmt.Errorf("target %q: %w", target, err)
	}
	return s, nil
}

// askConfig asks ssh(1) what its configuration says of a target; where there is no ssh, or it does not work for
// a user whom the password database does not have, the files are read.
func askConfig(ctx context.Context, t Target, config string, me localUser) (configAnswers, error) {
	program, err := sshProgram()
	if err != nil {
		return readConfig(t, config, me)
	}
	a, err := askSSH(ctx, program, t, config)
	if errors.Is(err, errNobody) {
		return readConfig(t, config, me)
	}
	return a, err
}

// takeValues takes the values over; what cannot be done as ssh does it is refused.
func (s *sshSettings) takeValues(a configAnswers, me localUser) error {
	switch {
	case !validHost(s.Host):
		return fmt.Errorf("the configuration's HostName %q is no host", s.Host)
	case !validPort(s.Port):
		return fmt.Errorf("port %q is not a number from 1 to 65535", s.Port)
	case !validUser(s.User):
		return fmt.Errorf("the configuration's User %q is no user", s.User)
	}
	s.hostKeyAlias, s.jump, s.bind = a.firstValue("hostkeyalias"), a.firstValue("proxyjump"), a.firstValue("bindaddress")
	s.knownCommand = a.firstValue("knownhostscommand")
	s.identitiesOnly = a.firstValue("identitiesonly") == "yes"
	s.knownHosts = a.optionFiles("userknownhostsfile", "globalknownhostsfile")
	if err := s.readConnection(a); err != nil {
		return err
	}
	tokens := s.tokensFor(me)
	if c := a.firstValue("controlpath"); hexHash.MatchString(c) {
		tokens.value['C'] = c
	}
	var err error
	if s.identities, err = tokens.expandFiles(a["identityfile"]); err != nil {
		return fmt.Errorf("IdentityFile: %w", err)
	}
	if s.certificates, err = tokens.expandFiles(a["certificatefile"]); err != nil {
		return fmt.Errorf("CertificateFile: %w", err)
	}
	s.agent = agentSocket(a["identityagent"])
	if f := a.firstValue("revokedhostkeys"); f != "" {
		if s.revoked, err = me.expandTilde(f); err != nil {
			return fmt.Errorf("RevokedHostKeys: %w", err)
		}
	}
	if command := a.firstValue("proxycommand"); command != "" && s.jump == "" {
		if s.proxy, err = s.proxyCommand(command); err != nil {
			return fmt.Errorf("ProxyCommand: %w", err)
		}
	}
	return nil
}

var hexHash = regexp.MustCompile(`^[0-9a-f]{40,64}$`)

// optionFiles are the files of some options, none of which may be meant by "none".
func (a configAnswers) optionFiles(options ...string) (all []string) {
	for _, option := range options {
		for _, f := range a[option] {
			if !strings.EqualFold(f, "none") {
				all = append(all, f)
			}
		}
	}
	return all
}

// readConnection reads how the connection is made.
func (s *sshSettings) readConnection(a configAnswers) error {
	switch family := a.firstValue("addressfamily"); family {
	case "", "any":
		s.network = "tcp"
	case "inet":
		s.network = "tcp4"
	case "inet6":
		s.network = "tcp6"
	default:
		return fmt.Errorf("the configuration's AddressFamily %q is none of any, inet and inet6", family)
	}
	if i := a.firstValue("bindinterface"); i != "" {
		return hint.To(fmt.Errorf("the configuration has BindInterface %s, which is not supported", i), "BindAddress is")
	}
	if a.firstValue("proxyusefdpass") == "yes" && a.firstValue("proxycommand") != "" {
		return fmt.Errorf("the configuration has ProxyUseFdpass, which is not supported")
	}
	if t := a.firstValue("connecttimeout"); t != "" {
		n, err := strconv.Atoi(t)
		if err != nil || n < 0 || n > 1<<20 {
			return fmt.Errorf("the configuration's ConnectTimeout %q is no number of seconds", t)
		}
		s.connectTimeout = time.Duration(n) * time.Second
	}
	return nil
}
