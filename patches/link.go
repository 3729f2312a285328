package patches

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dropbear"
	"groundhog/initrd/show"
	"groundhog/patches/scripts"
)

// dropbearOptions is the options that dropbear gets: the largest receive window that its
// version takes, 1 or 10 MiB, because a link with 20 ms of delay carries 1 MB/s with
// the default of 24 KiB and 50 MB/s with 1 MiB; and a keepalive every 5 s, without
// which nothing notices a dead link.
func dropbearOptions(v dropbear.Version) string { return fmt.Sprintf("-W %d -K 5", v.MaxWindow) }

// dropbearOption is words with blanks between them; what a shell could take for more is not among the characters.
var dropbearOption = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=, -]{0,200}$`)

func (o *Options) checkDropbear() error {
	for _, d := range o.DropbearOptions {
		if !dropbearOption.MatchString(d) {
			return fmt.Errorf("dropbear option %q: not words that mean themselves to a shell", d)
		}
	}
	return nil
}

// optionsEnd marks the line that is ours in dropbear's configuration.
const optionsEnd = " # groundhog"

// optionsLine goes in front of what dropbear's configuration says, so that the
// configuration's own word comes later and counts; or it takes the place of it.
func (t *editTarget) optionsLine() string {
	theirs := "${DROPBEAR_OPTIONS-}"
	if t.opts.DropbearOptions != nil {
		theirs = strings.Join(strings.Fields(strings.Join(t.opts.DropbearOptions, " ")), " ")
	}
	return fmt.Sprintf(`DROPBEAR_OPTIONS="%s"%s`, strings.TrimSpace(dropbearOptions(t.version)+" "+theirs), optionsEnd)
}

// withOptions puts our line last, unless there is one and no other is asked for.
func (t *editTarget) withOptions(text []byte) ([]byte, error) {
	var b strings.Builder
	line, last := t.optionsLine(), ""
	for l := range strings.Lines(string(text)) {
		if last = strings.TrimSuffix(l, "\n"); strings.HasPrefix(last, "DROPBEAR_OPTIONS=") && strings.HasSuffix(last, optionsEnd) {
			if t.opts.DropbearOptions == nil || last == line {
				return text, nil
			}
			continue
		}
		b.WriteString(l)
	}
	return withLine(line)([]byte(b.String()))
}

// tuneLink sets dropbear's options and, where its sessions lack it, sbin in their
// PATH. Then all is known of how one logs in: who could not run a command there
// could not flash.
func (t *Archive) tuneLink() (string, error) {
	if err := t.editGenerated(t.version.ArchiveConfig, t.withOptions); err != nil {
		return "", err
	}
	summary := "dropbear " + t.optionsToldOf(t.facts().Server)
	if !t.version.SbinInPath {
		summary += ", sbin in the sessions' PATH"
		if err := t.sbinInPath(); err != nil {
			return "", err
		}
	}
	facts := t.facts()
	if err := t.checkWayIn(facts.Server, facts.RootKeyLogins(), facts.Hindrance()); err != nil {
		return "", err
	}
	if port := facts.Server.Port(); port != 22 || t.readSetting(portSetting) != "" {
		return summary + onPort(port), t.setSetting(portSetting, fmt.Sprint(port))
	}
	return summary, nil
}

const portSetting = "GROUNDHOG_PORT"

// optionsToldOf is the options that we give, as they count: those of the configuration come behind ours.
func (t *editTarget) optionsToldOf(s *debian.Server) string {
	ours := dropbearOptions(t.version)
	if t.opts.DropbearOptions == nil {
		told := fmt.Sprintf("-W %s -K %s", s.Window, s.Keepalive)
		if s.Doubt != "" || told == ours {
			return ours
		}
		return show.Printable(told) + " as configured"
	}
	line, _, _ := strings.Cut(strings.TrimPrefix(t.optionsLine(), `DROPBEAR_OPTIONS="`), `"`)
	return line
}

func onPort(port uint16) string {
	if port == 22 {
		return ""
	}
	return fmt.Sprintf(", port %d", port)
}

// checkWayIn refuses what keeps us from logging in and running a command, and says
// what would not.
func (t *editTarget) checkWayIn(s *debian.Server, keys []dropbear.AuthorizedKey, hindrance string) error {
	switch {
	case s.Doubt != "" && s.Port() != 0:
		t.addNote("whether you can log in only the machine can tell (%s); --dropbear-option gives dropbear options that are certain", s.Doubt)
		return nil
	case hindrance == "":
		t.noteLimits(s, keys)
		return nil
	case strings.HasPrefix(hindrance, "etc/passwd: "):
		return fmt.Errorf("nobody could flash: %s; make it /bin/sh where the archive is made, and set the command by command= in front of a key", hindrance)
	case strings.Contains(hindrance, "command="):
		return fmt.Errorf("nobody could flash: %s; give a key without it, together with these: --authorized-keys FILE for each (the first line that has a key counts)", hindrance)
	}
	keep := ""
	if s.ForcedCommand != "" {
		keep = fmt.Sprintf(", and command=%q in front of a key in --authorized-keys keeps the command for that key", s.ForcedCommand)
	}
	return fmt.Errorf("nobody could flash: %s%s%s", hindrance, t.instead(s), keep)
}

// instead is what would help against options that are in the way.
func (t *editTarget) instead(s *debian.Server) string {
	return fmt.Sprintf("; --dropbear-option '%s' would put options in the place of these", strings.Join(s.Harmless(), " "))
}

// noteLimits says what does not keep everybody from flashing, but may keep some.
func (t *editTarget) noteLimits(s *debian.Server, keys []dropbear.AuthorizedKey) {
	for i, k := range keys {
		if command, forced := k.Forced(); forced && !slices.ContainsFunc(keys[:i], k.SameKey) {
			t.addNote("%s runs %q and nothing else, by command= in front of it: whoever has that key alone cannot flash", k, command)
		}
	}
	if bound := s.Bound(); bound != nil {
		client, _, _ := strings.Cut(s.Settings.Vars["IP"].Value, ":")
		if _, sure := s.Settings.Get("IP"); sure && client != "" && slices.Contains(bound, client) {
			bound = nil
		}
		switch {
		case bound == nil:
		case slices.Contains(bound, "::") && onlyIPv4(bound) != "":
			t.addNote("dropbear listens on IPv6 addresses alone (%s)%s: it is reached by those that the machine gives itself, if it does", s.Config, onlyIPv4(bound))
		default:
			t.addNote("dropbear listens on %s and on no other address (%s): it starts only if the machine has that by then%s", strings.Join(bound, " and "), s.Config, onlyIPv4(bound))
		}
	}
	if seconds, err := strconv.ParseUint(s.Keepalive, 10, 32); err == nil && seconds == 0 {
		t.addNote("-K 0 in %s: the device does not notice that a connection is dead", s.Config)
	}
}

// onlyIPv4 says why the machine may not have an address.
func onlyIPv4(addresses []string) string {
	if slices.ContainsFunc(addresses, func(a string) bool { return !strings.Contains(a, ":") }) {
		return ""
	}
	return ", and initramfs-tools configures IPv4 alone"
}

// sbinInPath makes root's login shell one that knows sbin. dropbear takes only
// a shell that etc/shells lists.
func (t *Archive) sbinInPath() error {
	shell := scripts.Shell()
	if err := t.putOwn(shell.Path, typeFile(shell.Mode), shell.Data); err != nil {
		return err
	}
	name := "/" + shell.Path
	if root := t.facts().Root(); root != nil && root.Shell != "" && root.Shell != "/bin/sh" && root.Shell != name {
		t.addNote("root's shell in the archive was %s, now %s", show.Printable(root.Shell), name)
	}
	err := t.editText("etc/passwd", func(text []byte) ([]byte, error) { return withShell(text, name) })
	if err != nil {
		return err
	}
	return t.editGenerated("etc/shells", allEdits(withLine("/bin/sh"), withLine(name)))
}

// withShell gives root the login shell.
func withShell(passwd []byte, shell string) ([]byte, error) {
	lines := strings.SplitAfter(string(passwd), "\n")
	n := 0
	for i, l := range lines {
		f := strings.Split(strings.TrimSuffix(l, "\n"), ":")
		if len(f) != 7 || f[0] != "root" {
			continue
		}
		n++
		f[6] = shell
		lines[i] = strings.Join(f, ":") + "\n"
	}
	if n != 1 {
		return nil, fmt.Errorf("%w: the line of root is there %d times", ErrAnchor, n)
	}
	return []byte(strings.Join(lines, "")), nil
}

// tuneLink sets dropbear's options in the configuration that the hook copies.
func (t *Tree) tuneLink() (string, error) {
	if err := t.undo.Edit(t.version.RootConfig(), nil, t.withOptions); err != nil {
		return "", err
	}
	t.added = append(t.added, t.version.ArchiveConfig)
	files, err := t.settingsFiles()
	if err != nil {
		return "", err
	}
	s := debian.ServerOf(t.version.Dropbear, files, t.willHave)
	keys := t.report.AuthorizedKeys
	if s.Group != "" && s.Group != "root" { // the only group that Debian's hook makes
		keys = nil
	}
	if err := t.checkWayIn(s, keys, s.Hindrance(keys)); err != nil {
		return "", err
	}
	summary := "dropbear " + t.optionsToldOf(s)
	if !t.version.SbinInPath {
		t.added = append(t.added, scripts.ShellPath, "etc/passwd", "etc/shells")
		summary += ", sbin in the sessions' PATH"
		if err := t.putOwn(ownDir+"/shell", 0o644, scripts.Shell().Data); err != nil {
			return "", err
		}
	}
	if port := s.Port(); port != 22 {
		return summary + onPort(port), t.setSetting(portSetting, fmt.Sprint(port))
	}
	return summary, nil
}

// willHave is what an archive of the tree will have of dropbear's script and
// configuration.
func (t *Tree) willHave(name string) ([]byte, error) {
	at, pristine := "", textEdit(nil)
	switch name {
	case premountScript:
		at, pristine = t.premount, pristinePremount
	case t.version.ArchiveConfig:
		at = t.version.RootConfig()
	default:
		return nil, fs.ErrNotExist
	}
	f, err := t.undo.Load(at, pristine)
	if err == nil && f.After == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return f.After, nil
}
