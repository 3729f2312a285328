package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
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
	knownCommand   string        // a command that knows host keys, with its tokens; "" for none
	revoked        []string      // files of host keys that are not to be trusted
	stricter       string        // options with which ssh would let in what we do not, as they are written; "" for none
	checkIP        bool          // what is known of the address must not be another key
	connectTimeout time.Duration // as configured; 0 where it is not
	attempts       int           // to connect, a second apart
	bindInterface  string        // whose address is the one on our side; "" for any
	noTCPKeepAlive bool
	batch          bool   // nobody is to be asked for a passphrase
	passphrases    int    // how often a wrong one is asked for
	pkcs11         string // a library with keys, which we do not use; "" for none
	algorithms     agreedAlgorithms
}

// agreedAlgorithms are the algorithms that the configuration sets, in its order; nil where it leaves them to us.
type agreedAlgorithms struct {
	kex, ciphers, macs []string
	hostKey            []string // with which a server may prove its key
	login              []string // with which we may prove ours
	authority          []string // with which a certificate may be signed
	rsaBits            int      // that an RSA key, of whoever it is, has at least
	rekey              uint64   // bytes until the next key exchange; 0: the library's own
}

// configAnswers are the values of ssh_config(5) that hold for one target, by the option's name in lower
// case. Defaults are there, too. A list of files has one value a file.
type configAnswers map[string][]string

// firstValue is an option's first value. The word for "no value" is none, but where something may be called so.
func (a configAnswers) firstValue(option string) string {
	if len(a[option]) == 0 || strings.EqualFold(a[option][0], "none") && !slices.Contains(namingOptions, option) {
		return ""
	}
	return a[option][0]
}

// namingOptions are those to which "none" is a name like another.
var namingOptions = []string{"hostname", "user", "hostkeyalias", "bindaddress", "bindinterface"}

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
	a, err := askConfig(ctx, t, o.Config, o.hop, me)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", target, Unread(err))
	}
	s := &sshSettings{alias: alias, Target: Target{a.firstValue("user"), a.firstValue("hostname"), a.firstValue("port")}}
	if err := s.takeValues(a, me); err != nil {
		if !errors.As(err, new(refusedOption)) {
			err = Unread(err)
		}
		return nil, fmt.Errorf("target %q: %w", target, err)
	}
	return s, nil
}

// refusedOption is that the configuration has an option, which was understood, and which we cannot do as ssh does.
type refusedOption struct{ name, value, why string }

func (r refusedOption) Error() string {
	return fmt.Sprintf("the configuration has %s %s, and %s", r.name, r.value, r.why)
}

// askConfig asks ssh(1) what its configuration says of a target; where there is no ssh, or it does not work for
// a user whom the password database does not have, the files are read.
func askConfig(ctx context.Context, t Target, config string, hop bool, me localUser) (configAnswers, error) {
	program, err := sshProgram()
	if err != nil {
		return readConfig(t, config, me)
	}
	a, err := askSSH(ctx, program, t, config, hop)
	if errors.Is(err, errNobody) {
		return readConfig(t, config, me)
	}
	if err == nil {
		err = leaveOutDefaults(ctx, program, a)
	}
	if err == nil {
		err = a.splitLists(me)
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
	s.knownCommand, s.stricter = a.firstValue("knownhostscommand"), a.letsIn()
	s.identitiesOnly = a.firstValue("identitiesonly") == "yes"
	s.checkIP, s.batch, s.pkcs11 = a.firstValue("checkhostip") == "yes", a.firstValue("batchmode") == "yes", a.firstValue("pkcs11provider")
	if err := s.readConnection(a); err != nil {
		return err
	}
	if err := s.readLogin(a); err != nil {
		return err
	}
	if err := s.readAlgorithms(a); err != nil {
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
	if s.revoked, err = me.expandTildes(a.optionFiles("revokedhostkeys")); err != nil {
		return fmt.Errorf("RevokedHostKeys: %w", err)
	}
	global, err := me.expandTildes(a.optionFiles("globalknownhostsfile")) // ssh -G has replaced those of the user's
	if err != nil {
		return fmt.Errorf("GlobalKnownHostsFile: %w", err)
	}
	s.knownHosts = slices.Concat(a.optionFiles("userknownhostsfile"), global)
	if command := a.firstValue("proxycommand"); command != "" && s.jump == "" {
		if s.proxy, err = s.proxyCommand(command); err != nil {
			return fmt.Errorf("ProxyCommand: %w", err)
		}
	}
	return nil
}

// letsIn says which options are set with which ssh lets in a host that is not known.
func (a configAnswers) letsIn() string {
	var all []string
	for _, o := range []struct {
		name   string
		values []string // as they are written, and as ssh -G has them
	}{
		{"StrictHostKeyChecking", []string{"no", "false", "off", "accept-new"}},
		{"VerifyHostKeyDNS", []string{"yes", "true"}},
		{"NoHostAuthenticationForLocalhost", []string{"yes", "true"}},
	} {
		if v := a.firstValue(strings.ToLower(o.name)); slices.Contains(o.values, v) {
			v = map[string]string{"false": "no", "true": "yes"}[v]
			all = append(all, o.name+" "+cmp.Or(v, a.firstValue(strings.ToLower(o.name))))
		}
	}
	return strings.Join(all, ", ")
}

var hexHash = regexp.MustCompile(`^[0-9a-f]{40,64}$`)

// optionFiles are the files of an option, none of which may be meant by "none".
func (a configAnswers) optionFiles(option string) (all []string) {
	for _, f := range a[option] {
		if !strings.EqualFold(f, "none") {
			all = append(all, f)
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
	s.bindInterface, s.noTCPKeepAlive = a.firstValue("bindinterface"), a.firstValue("tcpkeepalive") == "no"
	if a.firstValue("proxyusefdpass") == "yes" && a.firstValue("proxycommand") != "" {
		return refusedOption{"ProxyUseFdpass", "yes", "a connection that a program hands over is not supported"}
	}
	seconds, err := a.wholeNumber("ConnectTimeout", 0)
	s.connectTimeout = time.Duration(seconds) * time.Second
	if err == nil {
		s.attempts, err = a.wholeNumber("ConnectionAttempts", 1)
	}
	return err
}

// readLogin reads how we may log in.
func (s *sshSettings) readLogin(a configAnswers) (err error) {
	switch v := a.firstValue("pubkeyauthentication"); v {
	case "no", "false":
		return hint.To(refusedOption{"PubkeyAuthentication", "no", "groundhog logs in with keys alone"}, "\"PubkeyAuthentication yes\" for this host, before what says no")
	}
	if v := a.firstValue("preferredauthentications"); v != "" && !slices.Contains(strings.Split(v, ","), "publickey") {
		return hint.To(refusedOption{"PreferredAuthentications", v, "groundhog logs in with publickey alone"}, "\"PreferredAuthentications publickey\" for this host, before what says otherwise")
	}
	s.passphrases, err = a.wholeNumber("NumberOfPasswordPrompts", 3)
	return err
}

// wholeNumber is an option's number; otherwise where it has none.
func (a configAnswers) wholeNumber(option string, otherwise int) (int, error) {
	v := a.firstValue(strings.ToLower(option))
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<20 {
		return 0, fmt.Errorf("the configuration's %s %q is no such number", option, v)
	}
	return n, nil
}
