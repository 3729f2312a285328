package debian

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd"
)

// Way is a file that may let somebody in by another way than the dropbear that Debian's script starts with the known settings. It is
// another server; or a text that starts one, or changes what dropbear goes by (a script, a file that scripts may source, a rule of
// udev's, a line of modprobe's); or too much to be looked into. Such files are told by the names in them. A script that puts its words
// together while it runs, a program under another name, and a long text where no scripts lie are not found.
type Way struct {
	Path string
	What string
	Sum  [sha256.Size]byte // of the lines that say so
}

// Bounds of what is looked into for logins: it comes with an archive that anybody may have made.
const (
	maxAccountsFile = 1 << 20  // bytes of etc/passwd, etc/shadow, etc/group
	maxKeysFile     = 1 << 20  // bytes of an authorized_keys
	maxKeysFiles    = 16 << 20 // bytes of all of them together
	maxAccounts     = 512      // whose homes are looked for: each may lead through links of thousands of names
	maxLogins       = 4096     // logins, and as many ways beside them
	maxServers      = 512      // names of servers that are followed to what they lead to, likewise; and links in places of scripts
	maxLinkRounds   = 8        // how often these are looked for anew, in what they lead to
)

// serverPrograms let people in who reach them.
var serverPrograms = []string{"dropbear", "dropbearmulti", "sshd", "tinysshd", "lshd", "telnetd", "in.telnetd", "getty", "agetty", "mingetty", "inetd", "xinetd",
	"tcpsvd", "udpsvd", "rshd", "in.rshd", "rlogind", "in.rlogind", "rexecd", "in.rexecd", "socat", "ncat", "httpd", "ftpd", "in.ftpd", "vsftpd", "tftpd", "in.tftpd", "adbd",
	"ttyd", "shellinaboxd", "gdbserver", "tmate"}

var (
	serverWord     = regexp.MustCompile(`(?:^|[^\w.-])(` + strings.ReplaceAll(strings.Join(serverPrograms, "|"), ".", `\.`) + `)(?:$|[^\w.-])`)
	steersDropbear = regexp.MustCompile(`DROPBEAR_OPTIONS|LD_(?:PRELOAD|AUDIT|LIBRARY_PATH)|ld\.so\.preload|groundhog/patches\.json|authorized_keys|\.ssh/|etc/(?:passwd|shadow|group|shells|nsswitch|dropbear/)|/dev/(?:tcp|udp)/|` +
		`^Listen(?:Stream|Datagram)\s*=\s*(?:\d|\[|vsock)`)
)

// harmlessLine is what stands in the scripts of dropbear-initramfs and in ours, and starts nothing.
var harmlessLine = regexp.MustCompile(`(?:readlink -f|-[xe]) /sbin/dropbear\b|^/scripts/init-(?:premount|bottom)/dropbear "\$@"$|!= dropbear \]|` +
	`-e /etc/dropbear/[\w.]+ \]|\. /etc/dropbear/[\w.]+$|^rm -f ~root/\.ssh/authorized_keys$|\s# [\w ,.()'-]*$`)

// lineMarks are texts that are looked for first, because most lines have none of them: every line that harmlessLine, serverWord,
// listens or steersDropbear match has one.
var lineMarks = []string{"dropbear", "DROPBEAR_OPTIONS", "shd", "telnetd", "getty", "inetd", "psvd", "rlogind", "execd", "socat", "nc", "netcat", "tpd", "adbd", "ttyd", "inaboxd", "gdbserver",
	"tmate", "ssh", "dbclient", "#", "LD_", "ld.so.preload", "authorized_keys", "etc/", "/dev/", "_msg", "groundhog_", "Listen"}

func isMarked(line string) bool { return containsAny(line, lineMarks) }

// Ways finds what may let somebody in beside dropbear, in the archive that the facts are of. Every text in it is looked through.
func (f *Facts) Ways(img *initrd.Image) []Way {
	w := &wayFinder{Facts: f, ways: slices.Clone(f.unread)}
	w.findWays(img)
	if w.otherSayers {
		w = &wayFinder{Facts: f, ways: slices.Clone(f.unread), otherSayers: true}
		w.findWays(img)
	}
	return w.ways
}

type wayFinder struct {
	*Facts
	ways   []Way
	linked map[string]bool // what links in places of scripts lead to

	otherSayers bool // scripts may run what they are told to say
	sayerFiles  int  // files that say how scripts say things
}

func (f *wayFinder) findWays(img *initrd.Image) {
	if f.Server.Doubt != "" {
		f.ways = append(f.ways, Way{Path: Script, What: f.Server.Doubt})
	}
	if real, ok := img.Resolve(preloadFile); ok {
		f.ways = append(f.ways, Way{Path: preloadFile, What: "every program loads what it names", Sum: sha256.Sum256(contentOrTarget(img, img.Lookup(real)))})
	}
	f.followBootLinks(img)
	script, _ := img.ReadFile(Script)
	known := startOf(script).known
	servers := 0
	for name, e := range img.Tree() {
		if len(f.ways) >= maxLogins {
			return
		}
		f.otherSayers = f.otherSayers || sayerName.MatchString(path.Base(name))
		if isServerName(name) && !e.IsDir() || e.IsFile() && slices.Contains(serverPrograms, path.Base(name)) && isELF(img.Content(e)) {
			if servers++; servers > maxServers || f.isServerProgram(img, name) {
				f.ways = append(f.ways, Way{Path: name, What: "a server"})
			}
		}
		if name == preloadFile && !e.IsFile() {
			f.ways = append(f.ways, Way{Path: name, What: "every program loads what it names", Sum: sha256.Sum256(contentOrTarget(img, e))})
		}
		switch {
		case !e.IsFile() || settledFiles.MatchString(name):
		case img.ContentSize(e) > maxSourced:
			if f.inBootPlace(name) && (name != "init" || !f.linked[name]) {
				f.ways = append(f.ways, Way{Path: name, What: "too long to look into", Sum: img.Sum(e)})
			}
		default:
			if b := img.Content(e); f.inBootPlace(name) || bytes.IndexByte(b[:min(len(b), 512)], 0) < 0 {
				f.scanScript(name, b, known)
			}
		}
	}
}

// preloadFile is the libraries that ld.so(8) puts before all others, in every program.
const preloadFile = "etc/ld.so.preload"

// bootTextPlaces is where texts say what is run at boot: of initramfs-tools, of udev, of modprobe (install).
var bootTextPlaces = regexp.MustCompile(`^(?:init|(?:scripts|conf)/.*|(?:.*/)?(?:udev/rules\.d|modprobe\.d)/.*)$`)

// bootDirs is the directories of bootTextPlaces.
var bootDirs = regexp.MustCompile(`^(?:scripts|conf|(?:.*/)?(?:udev|udev/rules\.d|modprobe\.d))$`)

// inBootPlace reports whether a name is in one of bootTextPlaces, or a link in one leads to it.
func (f *wayFinder) inBootPlace(name string) bool {
	if bootTextPlaces.MatchString(name) {
		return true
	}
	for at := name; len(f.linked) > 0 && at != "."; at = path.Dir(at) {
		if f.linked[at] {
			return true
		}
	}
	return false
}

// followBootLinks notes where the links in bootTextPlaces lead to: what is there is run, or read, as if it lay in the place itself. It goes on with the links
// that it finds there.
func (f *wayFinder) followBootLinks(img *initrd.Image) {
	f.linked = map[string]bool{}
	followed := map[string]bool{}
	for round, more := 0, true; more; round++ {
		more = false
		for name, e := range img.Tree() {
			if !e.IsLink() || followed[name] || !f.inBootPlace(name) && !bootDirs.MatchString(name) {
				continue
			}
			if len(followed) == maxServers || round == maxLinkRounds {
				f.ways = append(f.ways, Way{Path: name, What: "more links than are followed"})
				return
			}
			followed[name] = true
			real, ok := img.Resolve(name)
			if !ok || f.linked[real] {
				continue
			}
			switch to := img.Lookup(real); {
			case to.IsFile() && isELF(img.Content(to)):
				if real == f.Server.Path || slices.Contains(serverPrograms, path.Base(real)) {
					f.ways = append(f.ways, Way{Path: name, What: "a server"})
				}
			default:
				f.linked[real], more = true, true
			}
		}
	}
}

func isELF(b []byte) bool { return bytes.HasPrefix(b, []byte("\x7fELF")) }

// settledFiles is the files that have readers of their own here, and are not looked through as scripts. If a script sources one of them, the script
// says so.
var settledFiles = regexp.MustCompile(`^(?:etc/(?:passwd-?|shadow-?|group-?|shells|nsswitch\.conf|dropbear/(?:config|dropbear\.conf)|groundhog/patches\.json)|(?:.*/)?authorized_keys)$`)

// indexLine is a line that depmod writes into an indexFile. A shell that sources such a file does nothing at the line.
var (
	indexFile = regexp.MustCompile(`^(?:usr/)?lib/modules/[^/]+/modules\.\w+$`)
	indexLine = regexp.MustCompile(`^(?:(?:alias|softdep|weakdep) [\w:.,*?\[\]{}+ -]+|\S+\.ko(?:\.\w+)?:?[\w/. -]*)$`)
)

func contentOrTarget(img *initrd.Image, e *initrd.Entry) []byte {
	if e.IsFile() {
		return img.Content(e)
	}
	return e.Data
}

// isServerName reports whether a name is a server's in a place that programs have.
func isServerName(name string) bool {
	dir := path.Base(path.Dir(name))
	return slices.Contains(serverPrograms, path.Base(name)) && (dir == "bin" || dir == "sbin")
}

// isServerProgram reports whether a file with a server's name is there and is a further server: not the dropbear that is known, and not a link to busybox.
func (f *Facts) isServerProgram(img *initrd.Image, name string) bool {
	real, ok := img.Resolve(name)
	if !ok || real == f.Server.Path {
		return false
	}
	if box, ok := img.Resolve("bin/busybox"); ok {
		a, b := img.Lookup(real), img.Lookup(box)
		return a != b && (a.LinkID() == nil || a.LinkID() != b.LinkID())
	}
	return true
}

// wordJoiner takes out what a shell takes out of a word, or never reads.
var wordJoiner = strings.NewReplacer("\x00", "", "\\\n", "", `""`, "", "''", "")

// scanScript looks through a script's lines.
func (f *wayFinder) scanScript(name string, text []byte, known bool) {
	var words []string
	sum := sha256.New()
	whole := wordJoiner.Replace(string(text))
	f.lookForSayers(whole, text)
	index := indexFile.MatchString(name)
	for line := range strings.Lines(whole) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || !isMarked(line) && !isMarked(meantText(line)) || name == Script && known && execLine.MatchString(line) || index && indexLine.MatchString(line) {
			continue
		}
		if allNames(line) == nil { // as in most lines: what follows is dear
			continue
		}
		if !f.otherSayers {
			line = saidText.ReplaceAllString(line, "")
		}
		line = harmlessLine.ReplaceAllString(line, "")
		if found := allNames(line); found != nil {
			words = append(words, found...)
			fmt.Fprintln(sum, line)
		}
	}
	if words == nil {
		return
	}
	slices.Sort(words)
	f.ways = append(f.ways, Way{name, "it names " + strings.Join(slices.Compact(words), ", "), [sha256.Size]byte(sum.Sum(nil))})
}

// unquoter takes out of a line what a shell does, but for expansions; several slashes are one.
var (
	unquoter  = strings.NewReplacer(`\`, "", `"`, "", "'", "")
	slashDots = regexp.MustCompile(`/(?:\.?/)+`)
)

func meantText(line string) string {
	if strings.ContainsAny(line, `\"'`) {
		line = unquoter.Replace(line)
	}
	if strings.Contains(line, "//") || strings.Contains(line, "/./") {
		line = slashDots.ReplaceAllString(line, "/")
	}
	return line
}

// allNames is the names in a line, as it stands there and as a shell has it, that make it a way in.
func allNames(line string) []string {
	found := namesIn(line)
	if meant := meantText(line); meant != line {
		found = append(found, namesIn(meant)...)
	}
	return found
}

// steerMarks are texts of which one stands in every line that steersDropbear matches in.
var steerMarks = []string{"DROPBEAR_OPTIONS", "LD_", "ld.so.preload", "patches.json", "authorized_keys", ".ssh/", "etc/", "/dev/", "Listen"}

func containsAny(line string, marks []string) bool {
	return slices.ContainsFunc(marks, func(m string) bool { return strings.Contains(line, m) })
}

func namesIn(line string) (found []string) {
	if containsAny(line, steerMarks) {
		found = steersDropbear.FindAllString(line, -1)
	}
	if containsAny(line, serverPrograms) {
		for _, m := range serverWord.FindAllStringSubmatch(line, -1) {
			found = append(found, m[1])
		}
	}
	if name := listens(line); name != "" {
		found = append(found, name)
	}
	return found
}

// listeners is programs that serve, or let others in, by an option with one of these letters.
var listeners = map[string]string{"nc": "le", "netcat": "le", "ssh": "R", "autossh": "R", "dbclient": "R"}

// listens is such a program that a line names, with an option like that behind it.
func listens(line string) string {
	name := ""
	for word := range strings.FieldsSeq(line) {
		if option := strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"); name != "" && option != word {
			letters := option[:len(option)-len(strings.TrimLeftFunc(option, isWordRune))]
			if strings.ContainsAny(letters, listeners[name]) {
				return name
			}
		}
		if strings.ContainsAny(word, ";&|") {
			name = ""
		}
		base := word[strings.LastIndexFunc(word, func(r rune) bool { return !isWordRune(r) && r != '.' && r != '-' })+1:]
		base, _, _ = strings.Cut(base, ".") // nc.openbsd
		if listeners[base] != "" {
			name = base
		}
	}
	return ""
}

func isWordRune(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// changedElsewhere is what may change, in Debian's boot script or beside it, how dropbear is started; "" of none.
func changedElsewhere(script []byte) string {
	for line := range strings.Lines(string(script)) {
		line = strings.TrimSpace(line)
		switch m := sourcesFile.FindStringSubmatch(line); {
		case strings.HasPrefix(line, "#"), execLine.MatchString(line):
		case m != nil && !knownSource.MatchString(m[1]):
			return "it sources " + m[1]
		case changesOptions.MatchString(line) && !knownChange.MatchString(line):
			return "it changes how dropbear is started"
		}
	}
	return ""
}

var (
	sourcesFile    = regexp.MustCompile(`(?:^|[;&|({]|\bthen|\belse|\bdo)\s*(?:\.|source)\s+(\S+)`)
	knownSource    = regexp.MustCompile(`^"?/(?:etc/dropbear/[\w.]+|scripts/functions|scripts/groundhog/\w+)"?$`)
	changesOptions = regexp.MustCompile(`DROPBEAR_OPTIONS|\bflags=|\b(?:eval|alias|mount)\b`)
	knownChange    = regexp.MustCompile(`^local flags="\w+"$|^\[ "\$debug" != y \] \|\| flags="E\$flags"(?: # .*)?$`)
)

// orderStages is the files that /init sources to run scripts before dropbear's; one that does more than that may change its settings.
var orderStages = []string{"init-top", "init-premount"}

var orderLine = regexp.MustCompile(`^(?:#.*|/scripts/[\w./+-]+(?: "\$@")?|\[ -e /conf/param\.conf \] && \. /conf/param\.conf|)$`)

// whyDoubtful is why what dropbear is started with, or whom the C library knows, is not certain although settings and script are.
func whyDoubtful(img *initrd.Image) string {
	for _, room := range orderStages {
		name := "scripts/" + room + "/ORDER"
		b, err := img.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if !orderLine.MatchString(strings.TrimSpace(line)) {
				return name + ": it does more than run scripts"
			}
		}
	}
	b, err := img.ReadFile("etc/nsswitch.conf")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		base, from, _ := strings.Cut(strings.TrimSpace(line), ":")
		if strings.TrimSpace(base) == "passwd" && strings.TrimSpace(from) != "files" {
			return "etc/nsswitch.conf: accounts may come from elsewhere than etc/passwd"
		}
	}
	return ""
}

// accountsFile is the text of a file that says who has an account; nil where it has more than maxAccountsFile bytes, which is noted.
func (f *Facts) accountsFile(img *initrd.Image, name string) []byte {
	real, ok := img.Resolve(name)
	if !ok {
		return nil
	}
	if e := img.Lookup(real); e.IsFile() && img.ContentSize(e) > maxAccountsFile {
		f.tooMuch(img, name, e)
		return nil
	}
	b, err := img.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}

// tooMuch notes what is too much to be looked into: it may let anybody in.
func (f *Facts) tooMuch(img *initrd.Image, name string, e *initrd.Entry) {
	f.noteProblem("%s: %d bytes are too much to be looked into", name, img.ContentSize(e))
	f.unread = append(f.unread, Way{Path: name, What: "too long to look into", Sum: img.Sum(e)})
	if f.Server.Doubt == "" {
		f.Server.Doubt = name + ": too long to look into"
	}
}
