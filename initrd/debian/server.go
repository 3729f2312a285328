package debian

import (
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
)

// Script is the boot script that starts dropbear.
const Script = "scripts/init-premount/dropbear"

// Server is the dropbear in an archive, and how its boot script starts it.
type Server struct {
	Path    string // where the program lies
	Version string // the server's own word, "2022.83"; "" where it has none
	Config  string // the configuration that the boot script sources, as far as is known
	Options []string
	Listen  []Listen // at least one
	// ForcedCommand is what every session runs whatever it asks for, "" of none.
	ForcedCommand string
	KeysDir       string   // of authorized_keys: "~/.ssh" but for -D
	HostKeys      []string // files of host keys; nil: the usual ones
	NoRoot        bool     // -w: nobody with uid 0 may log in
	Group         string   // -G: only its members may log in; "": anybody
	NoPasswords   bool     // -s
	BlankPassword bool     // -B: who has no password needs none
	// Doubt says why the options are not certain, "" where they are.
	Doubt       string
	inetd       bool // -i
	twoFactors  bool // -t: a password besides the key
	otherScript bool // the doubt is about the boot script, not about settings
	delayedKeys bool // -R: host keys that are missing are made once somebody comes
	banner      string
	// Window and Keepalive are the values of -W and -K that count, "" of none.
	Window, Keepalive string
	// Settings is what the boot script has when it starts the server: its configuration may set what /init's settings do, DEVICE among them.
	Settings Settings
	harmful  string // letters of the options for which dropbear would not start
	// Broken says why dropbear would refuse to start, "" where it would start.
	Broken string
}

// Listen is an address that dropbear listens on, "" of all, and a TCP port.
type Listen struct {
	Address string
	Port    uint16
}

// Ports is the ports that dropbear listens on, in the order given.
func (s *Server) Ports() []uint16 {
	var all []uint16
	for _, l := range s.Listen {
		all = append(all, l.Port)
	}
	return all
}

// Port is the one to come in by: of the ports that other machines can reach 22 if the server
// listens there, else the first; 0 where there is none.
func (s *Server) Port() uint16 {
	var first uint16
	for _, l := range s.Listen {
		ip := net.ParseIP(l.Address)
		switch {
		case ip != nil && ip.IsLoopback():
		case l.Port == 22:
			return 22
		case first == 0:
			first = l.Port
		}
	}
	return first
}

// Bound is the addresses that dropbear listens on and other machines reach, where it does not listen on all that the machine has. "::" is
// all of IPv6 and none of IPv4 (dropbear sets IPV6_V6ONLY).
func (s *Server) Bound() []string {
	var all []string
	for _, l := range s.Listen {
		ip := net.ParseIP(l.Address)
		switch {
		case l.Address == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
			return nil
		case ip == nil || !ip.IsLoopback():
			all = append(all, l.Address)
		}
	}
	return all
}

// Hindrance says what keeps whoever has one of these keys from logging in as root over the
// network and running any command; "" where nothing does. The keys are
// those that the server takes for root, in the order of their lines.
func (s *Server) Hindrance(keys []dropbear.AuthorizedKey) string {
	of := s.Config
	if of == "" {
		of = "DROPBEAR_OPTIONS"
	}
	switch {
	case s.Broken != "":
		return of + ": dropbear would not start: " + s.Broken
	case s.inetd:
		return of + ": -i has dropbear serve its standard input and listen on no port"
	case s.Port() == 0:
		return of + ": dropbear listens only where the machine itself can reach it"
	case s.NoRoot:
		return of + ": -w lets root not log in"
	case s.twoFactors:
		return of + ": -t wants a password besides the key"
	case s.Group != "" && keys == nil:
		return fmt.Sprintf("%s: -G lets in only members of %q", of, s.Group)
	case s.ForcedCommand != "":
		return fmt.Sprintf("%s: -c has every login run %q, whatever it asks for", of, s.ForcedCommand)
	}
	command := ""
	for i, k := range keys {
		if slices.ContainsFunc(keys[:i], k.SameKey) {
			continue // the first line that has a key counts
		}
		forced, ok := k.Forced()
		if !ok {
			return ""
		}
		command = forced
	}
	if keys == nil {
		return "no key lets root in"
	}
	return fmt.Sprintf("command= has every login run one command, as %q, whatever it asks for", command)
}

// Harmless is the options without those that [Server.Hindrance] may be about, and
// without what is no plain word.
func (s *Server) Harmless() []string { return s.Without("cGWK" + s.harmful) }

// Without is the options without those letters, those that take no part in a login's way, and what is no plain word.
func (s *Server) Without(letters string) []string {
	var all []string
	word := regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)
	for i := 0; i < len(s.Options); i++ {
		for arg, j := s.Options[i], 1; j < len(arg); j++ {
			c := arg[j : j+1]
			if !strings.Contains(valueFlags, c) {
				if strings.Contains("ejkamsguz", c) {
					all = append(all, "-"+c)
				}
				continue
			}
			value := arg[j+1:]
			if value == "" && i+1 < len(s.Options) {
				i++
				value = s.Options[i]
			}
			loops := strings.HasPrefix(value, "127.") || strings.HasPrefix(value, "localhost")
			if word.MatchString(value) && !strings.Contains(letters, c) && !(c == "p" && loops) {
				all = append(all, "-"+c, value)
			}
			break
		}
	}
	return all
}

// Unforced is those keys with which root runs what he asks for.
func (s *Server) Unforced(keys []dropbear.AuthorizedKey) []dropbear.AuthorizedKey {
	var all []dropbear.AuthorizedKey
	for _, k := range keys {
		first := slices.IndexFunc(keys, k.SameKey)
		if s.Hindrance(keys[first:first+1]) == "" && !slices.ContainsFunc(all, k.SameKey) {
			all = append(all, k)
		}
	}
	return all
}

var versionString = regexp.MustCompile(`dropbear_(20[0-9]{2}\.[0-9]{1,3})`)

// serverOf finds the server; where there is none it still says how one that came
// into the archive would be started.
func serverOf(img *initrd.Image, init *shellState) *Server {
	s := &Server{KeysDir: "~/.ssh"}
	for _, name := range []string{"sbin/dropbear", "usr/sbin/dropbear"} {
		if real, ok := img.Resolve(name); ok && img.Lookup(real).IsFile() {
			s.Path = real
			if m := versionString.FindSubmatch(img.Content(img.Lookup(real))); m != nil {
				s.Version = string(m[1])
			}
			break
		}
	}
	s.followBootScript(img.ReadFile, init.childEnvironment())
	if s.Doubt == "" {
		s.Doubt = whyDoubtful(img)
	}
	return s
}

// ServerOf is how a dropbear of that version is started in an archive with these settings;
// read reads the archive's files.
func ServerOf(version string, settings []SourceFile, read func(name string) ([]byte, error)) *Server {
	s := &Server{KeysDir: "~/.ssh", Version: version}
	s.followBootScript(read, initShell(settings).childEnvironment())
	return s
}

// followBootScript follows the boot script as far as dropbear's options.
func (s *Server) followBootScript(read func(name string) ([]byte, error), sh *shellState) {
	script, err := read(Script)
	start := startOf(script)
	for _, name := range start.configs {
		if b, err := read(name); err == nil {
			s.Config = name
			sh.sourceText(name, b)
		}
	}
	s.Settings = sh.sourcedSettings()
	value, certain := s.Settings.Get("DROPBEAR_OPTIONS")
	switch {
	case !certain && sh.blind != "":
		s.Doubt = sh.blind
	case !certain:
		s.Doubt = sh.vars["DROPBEAR_OPTIONS"].From + ": only the machine knows DROPBEAR_OPTIONS"
	case err == nil && !start.known:
		s.Doubt = Script + ": it does not start dropbear as Debian's does"
		s.otherScript = true
	case start.elsewhere != "":
		s.Doubt = Script + ": " + start.elsewhere
	case strings.ContainsAny(listenIPv6.ReplaceAllString(value, " "), "*?["):
		s.Doubt = "DROPBEAR_OPTIONS: the shell may put file names in the place of a pattern"
	}
	s.NoPasswords = err != nil // nothing starts it, so nothing lets them in
	// A shell splits at these alone: a carriage return stays in the word, and dropbear does not start for it.
	s.Options = strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(" \t\n", c) })
	s.parseOptions(append(start.flags, s.Options...))
	if len(s.Listen) == 0 {
		s.Listen = []Listen{{Port: 22}}
	}
}

// listenIPv6 is an address with its port behind -p. To a shell it is a pattern, too, which could mean a file in / that is called
// "::2222", say: no port but that one.
var listenIPv6 = regexp.MustCompile(`(?:^|[ \t\n]|-p)\[[0-9A-Fa-f:.]+\]:[0-9]+(?:[ \t\n]|$)`)

// serverStart is what a boot script does with dropbear.
type serverStart struct {
	known   bool
	flags   []string
	configs []string

	elsewhere string // what else may change how it is started, "" of nothing
}

var (
	execLine   = regexp.MustCompile(`(?m)^\s*exec /sbin/dropbear "?-(\$flags|\w+)"? \$\{DROPBEAR_OPTIONS-\}$`)
	flagsLine  = regexp.MustCompile(`(?m)^\s*local flags="(\w+)"$`)
	sourceLine = regexp.MustCompile(`(?m)^\s*\. /(etc/dropbear/[\w.]+)$`)
	anyStart   = regexp.MustCompile(`(?m)^[^#\n]*sbin/dropbear[^#\n]*\$`)
)

// startOf knows the line that starts the server in the scripts of all supported
// releases, and the one before it that has its flags.
func startOf(script []byte) serverStart {
	s := serverStart{elsewhere: changedElsewhere(script)}
	flags := ""
	if found := execLine.FindAllSubmatch(script, -1); len(found) == 1 && len(anyStart.FindAll(script, -1)) == 1 {
		flags = string(found[0][1])
	}
	if flags == "$flags" {
		flags = ""
		if found := flagsLine.FindAllSubmatch(script, -1); len(found) == 1 {
			flags = string(found[0][1])
		}
	}
	if s.known = flags != ""; s.known {
		s.flags = []string{"-" + flags}
	}
	for _, m := range sourceLine.FindAllSubmatch(script, -1) {
		s.configs = append(s.configs, string(m[1]))
	}
	if s.configs == nil {
		s.configs = []string{"etc/dropbear/config", "etc/dropbear/dropbear.conf"}
	}
	return s
}

// The letters of dropbear(8)'s options, without and with a value; later versions
// have more of them. (svr-runopts.c)
const (
	plainFlags = "RFEejkaimwsgBtuz"
	valueFlags = "bcdrDpPlGWKIMTQA2"
)

// newFlags is the options that came later, by the year of the version.
var newFlags = map[byte]string{'e': "2022", 't': "2022", 'z': "2022", '2': "2022", 'D': "2024", 'l': "2024", 'M': "2026"}

// parseOptions reads the options as svr-runopts.c does. What only later versions know is
// heeded all the same: the version is the server's own word.
func (s *Server) parseOptions(args []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 2 || arg[0] != '-' {
			s.noteBroken("%q is no option", arg)
			continue
		}
		for j := 1; j < len(arg); j++ {
			c := arg[j]
			if year := newFlags[c]; s.Version != "" && s.Version < year {
				s.noteBroken("dropbear %s has no option -%c", s.Version, c)
			}
			if strings.IndexByte(valueFlags, c) < 0 {
				s.setFlag(c)
				continue
			}
			value := arg[j+1:]
			if value == "" {
				if i++; i == len(args) {
					s.noteBroken("-%c has no value", c)
					return
				}
				value = args[i]
			}
			s.setValue(c, value)
			break
		}
	}
	if s.twoFactors && s.NoPasswords {
		s.noteBroken("-t wants the passwords that -s forbids")
	}
	if s.KeysDir == "" {
		s.noteBroken("-D names no directory")
	}
}

// noteBroken notes the first reason not to start.
func (s *Server) noteBroken(format string, args ...any) {
	if s.Broken == "" {
		s.Broken = fmt.Sprintf(format, args...)
	}
}

// brokenBy notes that dropbear would not start because of option c. Without c it would.
func (s *Server) brokenBy(c byte, format string, args ...any) {
	s.noteBroken(format, args...)
	s.harmful += string(rune(c))
}

// checkFiles looks at the files that options name; hostKeys is how many of the files that may have a host key do.
func (s *Server) checkFiles(img *initrd.Image, hostKeys int) {
	if s.HostKeys != nil && hostKeys == 0 && !s.delayedKeys {
		s.brokenBy('r', "-r: no file that it names holds a host key")
		s.harmful += "d"
	}
	if s.banner == "" || s.Version == "" || s.Version >= "2024" { // later ones go on without
		return
	}
	const longest = 2050 // MAX_BANNER_SIZE
	at, ok := img.Resolve(strings.TrimPrefix(path.Clean(s.banner), "/"))
	if !ok || !img.Lookup(at).IsFile() || img.ContentSize(img.Lookup(at)) > longest {
		s.brokenBy('b', "-b %q is no file of at most %d bytes", s.banner, longest)
	}
}

func (s *Server) setFlag(c byte) {
	switch c {
	case 'R':
		s.delayedKeys = true
	case 'w':
		s.NoRoot = true
	case 's':
		s.NoPasswords = true
	case 'B':
		s.BlankPassword = true
	case 'i':
		s.inetd = true
	case 't':
		s.twoFactors = true
	default:
		if strings.IndexByte(plainFlags, c) < 0 {
			s.noteBroken("there is no option -%s", strings.Trim(strconv.Quote(string(rune(c))), `"`))
		}
	}
}

func (s *Server) setValue(c byte, value string) {
	switch c {
	case 'c':
		s.ForcedCommand = value
	case 'D':
		s.KeysDir = value
	case 'G':
		s.Group = value
	case 'b':
		s.banner = value
	case 'd', 'r':
		if s.HostKeys = append(s.HostKeys, value); len(s.HostKeys) > maxHostKeys {
			s.brokenBy(c, "-%c: more than %d host keys", c, maxHostKeys)
		}
	case 'I', 'K', 'T', 'M':
		digits := strings.TrimPrefix(value, "+")
		if s.Version != "" && s.Version < "2022" { // earlier ones take the digits in front, and none as 0
			digits = "0" + digits[:len(digits)-len(strings.TrimLeft(digits, "0123456789"))]
		}
		if n, err := strconv.ParseUint(digits, 10, 32); err != nil || c == 'T' && n == 0 {
			s.brokenBy(c, "-%c %q is no number that it takes", c, value)
		}
		if c == 'K' {
			s.Keepalive = value
		}
	case 'p':
		s.addListen(value)
	case 'W':
		s.Window = value
	}
}

const (
	maxPorts    = 10 // how many -p dropbear heeds (DROPBEAR_MAX_PORTS)
	maxHostKeys = 4  // with how many -r it starts (MAX_HOSTKEYS)
)

// addListen reads "[address:]port".
func (s *Server) addListen(spec string) {
	if len(s.Listen) == maxPorts {
		return
	}
	address, port := "", spec
	if i := strings.LastIndexByte(spec, ':'); i >= 0 {
		address, port = strings.Trim(spec[:i], "[]"), spec[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || address != "" && net.ParseIP(address) == nil {
		s.brokenBy('p', "-p %q is no port", spec)
		return
	}
	s.Listen = append(s.Listen, Listen{address, uint16(n)})
}

// knownVersion is what is known of the server's version.
func (s *Server) knownVersion() (dropbear.Version, bool) {
	return dropbear.Of(s.Version)
}

// releaseOf is the release with a dropbear of that year, "" of none that is
// supported.
func releaseOf(version string) string {
	v, _ := dropbear.Of(version)
	return v.Release
}

// keysFile is the authorized_keys that dropbear reads for a user, below the root.
func (s *Server) keysFile(home string) string {
	dir := s.KeysDir
	if below, ok := strings.CutPrefix(dir, "~/"); ok {
		dir = home + "/" + below
	}
	return strings.TrimPrefix(path.Join("/", dir, "authorized_keys"), "/")
}
