package device

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
)

// configReader reads ssh_config(5) where there is no ssh to ask. It knows Host, Include, and what the table of options has of it; whatever else
// could change who is reached, or how, is refused by file and line.
type configReader struct {
	me     localUser
	target Target
	active bool // the block that is being read is about the target
	found  configAnswers
	depth  int
}

// maxConfig bounds a configuration's file, in bytes; maxInclude is ssh's own bound (readconf.c).
const (
	maxConfig  = 1 << 20
	maxInclude = 16
)

// readConfig reads the named file, or else the user's and the machine's.
func readConfig(t Target, config string, me localUser) (configAnswers, error) {
	r := &configReader{me: me, target: t, found: configAnswers{}}
	var err error
	switch {
	case isNoConfig(config):
	case config == "":
		err = r.readFiles(true, filepath.Join(me.home, ".ssh/config"), "/etc/ssh/ssh_config")
	default:
		err = r.readFiles(false, config)
	}
	if err != nil {
		return nil, hint.To(err, "with ssh(1) in PATH groundhog asks it; --ssh-config FILE names another file, --ssh-config none does without")
	}
	return r.withDefaults()
}

// readFiles reads some files, each from its own beginning: a block ends with its file.
func (r *configReader) readFiles(optional bool, names ...string) error {
	for _, name := range names {
		r.active = true
		err := r.readFile(name)
		if err != nil && !(optional && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

func (r *configReader) readFile(name string) error {
	b, err := sidefile.Read(name, sidefile.Nobody, maxConfig)
	if err != nil {
		return fmt.Errorf("reading the ssh configuration: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		if err := r.readLine(strings.Trim(line, " \t\r\n\f")); err != nil {
			return fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
	return nil
}

func (r *configReader) readLine(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	end := strings.IndexAny(line+" ", " \t=\"")
	option, rest := strings.ToLower(line[:end]), strings.TrimLeft(line[end:], " \t")
	if after, ok := strings.CutPrefix(rest, "="); ok {
		rest = strings.TrimLeft(after, " \t")
	}
	values, err := splitValues(rest)
	if err != nil {
		return err
	}
	if len(values) == 0 {
		return fmt.Errorf("%s has no value", option)
	}
	return r.readOption(option, values)
}

// splitValues splits at blanks; quotes keep them. Where ssh's releases differ, or none of us would be sure, it refuses.
func splitValues(text string) (all []string, err error) {
	if strings.ContainsAny(text, "\\'") {
		return nil, errors.New("quotes other than \" are not understood without ssh")
	}
	for text = strings.Trim(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		if text[0] == '#' {
			return nil, errors.New("a comment behind a value is not understood without ssh")
		}
		end := strings.IndexAny(text+" ", " \t")
		if text[0] == '"' {
			end = strings.IndexByte(text[1:], '"') + 2
		}
		word := text[:end]
		if word[0] == '"' && end > 1 {
			word = word[1 : end-1]
		}
		if text = text[end:]; strings.Contains(word, `"`) || word == "" || text != "" && text[0] != ' ' && text[0] != '\t' {
			return nil, errors.New("its quotes are not understood without ssh")
		}
		all = append(all, word)
	}
	return all, nil
}

// readOption takes in one line.
func (r *configReader) readOption(option string, values []string) error {
	switch {
	case option == "host":
		r.active = r.matchesHost(values)
		return nil
	case option == "include":
		return r.includeFiles(values)
	case option == "userknownhostsfile" || option == "globalknownhostsfile":
		return r.noteValue(option, values)
	}
	row, ok := optionTable[option]
	must := row.use == heeded || row.use == answered
	switch {
	case !ok, row.alone == nil && must:
		return fmt.Errorf("%s is not understood without ssh", option)
	case row.alone == nil:
		return nil
	case len(values) > 1:
		return fmt.Errorf("%s has more than one value", option)
	case !row.alone(values[0]):
		return fmt.Errorf("%s %q is not understood without ssh", option, values[0])
	}
	return r.noteValue(option, values)
}

// noteValue notes a value: the first one holds, but for what may be given several times.
func (r *configReader) noteValue(option string, values []string) error {
	several := option == "identityfile" || option == "certificatefile"
	switch {
	case option == "proxyjump" && r.found["proxycommand"] != nil: // the first of the two holds
	case !r.active, r.found[option] != nil && !several, several && slices.Contains(r.found[option], values[0]):
	default:
		r.found[option] = append(r.found[option], values...)
	}
	return nil
}

// matchesHost is the meaning of Host: one pattern fits, and none of those with ! before them.
func (r *configReader) matchesHost(patterns []string) bool {
	fits := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		if !matchWildcard(p, r.target.Host) {
			continue
		}
		if not {
			return false
		}
		fits = true
	}
	return fits
}

// includeFiles reads other files in this place. Whether they hold is up to the block that they are in.
func (r *configReader) includeFiles(patterns []string) error {
	if r.depth++; r.depth > maxInclude {
		return errors.New("more than 16 files include each other")
	}
	defer func() { r.depth-- }()
	for _, p := range patterns {
		p, err := r.me.expandTilde(p)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(p) { // of the machine's file it would be another directory
			return errors.New("Include with a relative name is not understood without ssh")
		}
		names, err := filepath.Glob(p)
		if err != nil || strings.ContainsAny(p, "{[") {
			return fmt.Errorf("Include %s is not understood without ssh", p)
		}
		for _, name := range names {
			active := r.active
			outer := &configReader{me: r.me, target: r.target, active: active, found: r.found, depth: r.depth}
			if !active { // it must be understood all the same
				outer.found = configAnswers{}
			}
			if err := outer.readFile(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// withDefaults completes what was found: with what the command line says, which goes before all files, and with what ssh
// does where no file says anything.
func (r *configReader) withDefaults() (configAnswers, error) {
	a := r.found
	set := func(option, value string, always bool) {
		if value != "" && (always || a[option] == nil) {
			a[option] = []string{value}
		}
	}
	set("user", r.target.User, true)
	set("port", r.target.Port, true)
	set("user", r.me.name, false)
	set("port", "22", false)
	host, err := tokenValues{value: map[byte]string{'%': "%", 'h': r.target.Host}}.expandTokens(a.firstValue("hostname"), nil)
	if err != nil {
		return nil, fmt.Errorf("the configuration's HostName: %w", err)
	}
	if host == "" {
		host = r.target.Host
	}
	a["hostname"] = []string{strings.ToLower(host)}
	if alias := a.firstValue("hostkeyalias"); alias != "" {
		a["hostkeyalias"] = []string{strings.ToLower(alias)}
	}
	if a["identityfile"] == nil {
		for _, kind := range []string{"rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk"} {
			a["identityfile"] = append(a["identityfile"], "~/.ssh/id_"+kind)
		}
	}
	return a, r.replaceTokens()
}

// replaceTokens does what ssh -G does to the names of some files: their tokens are replaced.
func (r *configReader) replaceTokens() error {
	a := r.found
	if a["userknownhostsfile"] == nil {
		a["userknownhostsfile"] = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	}
	if a["globalknownhostsfile"] == nil {
		a["globalknownhostsfile"] = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	s := sshSettings{alias: r.target.Host, Target: Target{a.firstValue("user"), a.firstValue("hostname"), a.firstValue("port")},
		hostKeyAlias: a.firstValue("hostkeyalias"), jump: a.firstValue("proxyjump")}
	t := s.tokensFor(r.me)
	for i, f := range a["userknownhostsfile"] {
		var err error
		if a["userknownhostsfile"][i], err = t.expandFile(f); err != nil {
			return fmt.Errorf("UserKnownHostsFile: %w", err)
		}
	}
	if socket := a.firstValue("identityagent"); socket != "" && socket != "SSH_AUTH_SOCK" && (socket[0] != '$' || strings.HasPrefix(socket, "${")) {
		socket, err := t.expandFile(socket)
		if err != nil {
			return fmt.Errorf("IdentityAgent: %w", err)
		}
		a["identityagent"] = []string{socket}
	}
	return nil
}
