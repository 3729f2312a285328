package patches

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd/debian"
)

// firstDevice is the interface that is looked for first where nobody named one, and
// anyDevice is our scripts' word for that: whichever wired one there is.
const (
	firstDevice = "eth0"
	anyDevice   = "any"
	anyTold     = "any, the first that answers"
)

// namedDevice is what the settings say of the interface, in the order in which
// configure_networking heeds them (initramfs-tools(7)): the device in IP=, BOOTIF=,
// DEVICE=. All empty: nobody named one.
type namedDevice struct {
	value, by, from string
	doubt           string // why only the machine can tell
}

func namedBy(s debian.Settings) namedDevice {
	for _, by := range []string{"IP", "BOOTIF", "DEVICE"} {
		value, sure := s.Get(by)
		from := s.Vars[by].From
		switch {
		case !sure && s.Doubt != "":
			return namedDevice{doubt: s.Doubt}
		case !sure:
			return namedDevice{doubt: from + ": only the machine knows " + by}
		case by == "IP" && !strings.Contains(value, ":") && !slices.Contains(ipconfigWords, value): // ipconfig takes it for an interface
		case by == "IP":
			value = append(strings.SplitN(value, ":", 7), "", "", "", "", "")[5]
		}
		if value != "" {
			return namedDevice{value: value, by: by, from: from}
		}
	}
	return namedDevice{}
}

// deviceSettings is what is done about the interface: the setting for our scripts, the
// value that DEVICE is given in the settings, if any, and how it is told.
type deviceSettings struct {
	ours, told string
	give       bool
	value      string
}

// givesDevice is what gives an interface's settings a value in a script.
var givesDevice = regexp.MustCompile(`(?:^|[^\w$])(?:DEVICE|IP|BOOTIF)=`)

// writesSettings is where a hook puts what /init sources.
var writesSettings = regexp.MustCompile(`conf\.d|param\.conf|initramfs\.conf`)

// namedByScript is why a script may name the interface while the machine boots, "" where none does: by conf/param.conf, which /init
// sources behind each script, or in dropbear's own.
func namedByScript(all bootScripts) string {
	for _, stage := range []string{"init-top", "init-premount"} {
		for _, name := range all.scriptNames(stage) {
			text := commentLine.ReplaceAll(all.scriptText(stage, name), nil)
			if (name == "dropbear" || bytes.Contains(text, []byte("param.conf"))) && givesDevice.Match(text) {
				return path.Join("scripts", stage, name) + " may give it a value while the machine boots"
			}
		}
	}
	return ""
}

// namedByHook is the same of a hook of the root tree's, which writes into the archive that is being made.
func namedByHook(root fs.FS) string {
	for _, dir := range []string{"etc/initramfs-tools/hooks", toolsDir + "/hooks"} {
		names, _ := fs.Glob(root, dir+"/*")
		for _, name := range names {
			b, err := fs.ReadFile(root, name)
			if text := commentLine.ReplaceAll(b, nil); err == nil && name != ownHook && writesSettings.Match(text) && givesDevice.Match(text) {
				return name + " may give it a value when the initramfs is built"
			}
		}
	}
	return ""
}

// chooseDevice leaves the interface that is configured, unless another one is asked for.
// Where none is configured DEVICE becomes eth0, and our scripts take any wired interface where
// eth0 is not the only one. DEVICE is not touched where others than dropbear bring the network
// up by these settings. s is the settings that dropbear's boot script has, byOthers why somebody else may name it besides,
// before our scripts' setting, of an archive that was patched before.
func (t *editTarget) chooseDevice(s debian.Settings, all bootScripts, byOthers, before string) (deviceSettings, error) {
	if err := t.checkIP(s, all); err != nil {
		return deviceSettings{}, err
	}
	if boot, sure := s.Get("BOOT"); sure && oddByte.MatchString(boot) {
		t.addNote("BOOT=%q in %s has a byte that is in the name of no script%s: unless its command line says boot=, the machine does not boot when nobody flashes it", boot, s.Vars["BOOT"].From, lineEnds(boot))
	}
	now := namedBy(s)
	if byOthers != "" && now.doubt == "" {
		now = namedDevice{doubt: byOthers}
	}
	want := t.opts.Device
	switch {
	case want == anyDevice:
		t.tellDevice(s, now, "")
		return deviceSettings{ours: anyDevice, told: anyTold, give: true}, nil
	case want != "":
		t.tellDevice(s, now, want)
		return deviceSettings{ours: want, told: want, give: true, value: want}, nil
	case now.doubt != "":
		t.addNote("DEVICE is left to what the machine makes of it (%s); --device names it", now.doubt)
		return deviceSettings{ours: before, told: "what the settings name on the machine"}, nil
	case now.value == "" && (before == anyDevice || networkOfOthers(s, all)):
		return deviceSettings{ours: anyDevice, told: anyTold}, nil
	case now.value == "":
		return deviceSettings{ours: anyDevice, told: firstDevice, give: true, value: firstDevice}, nil
	case before == anyDevice && now.by == "DEVICE" && now.value == firstDevice:
		return deviceSettings{ours: anyDevice, told: firstDevice}, nil
	case before == anyDevice && now.by == "DEVICE": // it was asked for
		return deviceSettings{ours: anyDevice, told: anyTold}, nil
	case now.by != "BOOTIF" && !mayBeDevice(now.value):
		return deviceSettings{}, fmt.Errorf("%s: %s names the interface %q, which cannot be one: nobody could log in; --device names another", now.from, now.by, now.value)
	case now.by == "BOOTIF":
		return deviceSettings{ours: before, told: "the one with the address that BOOTIF in " + now.from + " names"}, nil
	}
	return deviceSettings{ours: before, told: fmt.Sprintf("%s as configured (%s in %s)", now.value, now.by, now.from)}, nil
}

// checkIP refuses an IP= that no machine could be reached by, and says where it leaves the network unconfigured.
func (t *editTarget) checkIP(s debian.Settings, all bootScripts) error {
	value, sure := s.Get("IP")
	from := s.Vars["IP"].From
	if sure && oddByte.MatchString(value) {
		return fmt.Errorf("%s: IP=%q has a byte that no address has%s, and the network would not come up: nobody could log in; take it out there", from, value, lineEnds(value))
	}
	if wrong := wrongIP(value, t.Release); sure && wrong != "" {
		return fmt.Errorf("%s: IP=%q %s: nobody could log in; take it out there, or write it as initramfs-tools(7) has it", from, value, wrong)
	}
	if sure && (value == "off" || value == "none") && !networkOfOthers(s, all) {
		t.addNote("IP=%s in %s: nothing gives the machine an IPv4 address but ip= on its command line", value, from)
	}
	return nil
}

// oddByte is what stands in no setting that is one plain word.
var oddByte = regexp.MustCompile(`[^!-~]`)

// lineEnds names where a carriage return comes from.
func lineEnds(value string) string {
	if strings.HasSuffix(value, "\r") {
		return " (the file has DOS line ends)"
	}
	return ""
}

var (
	plainIPv4 = regexp.MustCompile(`^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$`)
	// otherWords are what the kernel, dracut and others know besides; ipconfig takes a word without a colon for an interface.
	otherWords    = []string{"dhcp6", "auto6", "auto", "either6", "link6", "link-local", "ibft", "static", "all", "yes", "true", "single-dhcp", "default"}
	ipconfigWords = []string{"", "on", "any", "dhcp", "bootp", "both", "rarp", "static", "off", "none"} // as its 7th field
)

// wrongIP says why ipconfig, of klibc-utils, would not take an IP= as it is meant; "" where it would. It takes words that
// configure_networking knows, the name of an interface, or fields of which the first four, the eighth and the ninth are addresses.
// Before trixie it passes over a length behind an address.
func wrongIP(value, release string) string {
	fields := strings.Split(value, ":")
	client := fields[0]
	_, err := netip.ParseAddr(value)
	switch {
	case strings.Contains(value, "[") || len(fields) > 1 && (err == nil || client != "" && strings.Trim(client, "0123456789abcdefABCDEF") == ""):
		return "has an IPv6 address, and initramfs-tools configures IPv4 alone (ipconfig)"
	case len(fields) == 1 && (err == nil || slices.Contains(otherWords, strings.ToLower(value)) || value != strings.ToLower(value) && slices.Contains(ipconfigWords, strings.ToLower(value))):
		return "is taken for the name of an interface (ipconfig)"
	}
	for _, at := range []int{0, 1, 2, 3, 7, 8} {
		if len(fields) <= max(at, 1) || fields[at] == "" {
			continue
		}
		address, _, length := strings.Cut(fields[at], "/")
		if !isIPv4(address) || length && !slices.Contains([]string{"buster", "bullseye", "bookworm"}, release) {
			return fmt.Sprintf("has %q where an IPv4 address or mask belongs (ipconfig)", fields[at])
		}
	}
	if len(fields) > 6 && !slices.Contains(ipconfigWords, fields[6]) {
		return fmt.Sprintf("has %q where ipconfig knows dhcp, bootp, both, rarp, any, on, off, none and static", fields[6])
	}
	return ""
}

// isIPv4 takes leading zeros, as ipconfig does.
func isIPv4(s string) bool {
	if !plainIPv4.MatchString(s) {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if n, err := strconv.Atoi(part); err != nil || n > 255 {
			return false
		}
	}
	return true
}

// networkOfOthers reports whether the root file system comes over the network, or a
// script other than dropbear's brings that up: one that connects a wifi, say, which DHCP is then to be asked over although
// there is a wired interface.
func networkOfOthers(s debian.Settings, all bootScripts) bool {
	if strings.TrimRight(s.Vars["BOOT"].Value, "\r") == "nfs" {
		return true
	}
	for _, stage := range slices.Concat([]string{"init-top", "init-premount"}, earlyStages, lateStages) {
		for _, name := range all.scriptNames(stage) {
			if name != "dropbear" && networkWords.Match(commentLine.ReplaceAll(all.scriptText(stage, name), nil)) {
				return true
			}
		}
	}
	return false
}

// tellDevice says what becomes of what was configured.
func (t *editTarget) tellDevice(s debian.Settings, now namedDevice, want string) {
	old, sure := s.Get("DEVICE")
	switch {
	case !sure:
		t.addNote("DEVICE was what only the machine knows, now %s", cmp.Or(want, "any interface"))
	case old != "" && old != want && want == "":
		t.addNote("DEVICE was %s, now any interface", quoteOdd(old))
	case old != "" && old != want:
		t.addNote("DEVICE was %s, now %s", quoteOdd(old), want)
	}
	if now.by == "IP" && now.value != want || now.by == "BOOTIF" {
		t.addNote("%s in %s names the interface, and comes before DEVICE", now.by, now.from)
	}
}

// quoteOdd quotes what is more than a word.
func quoteOdd(s string) string {
	if deviceName.MatchString(s) {
		return s
	}
	return fmt.Sprintf("%q", s)
}

// deviceLine is a line that gives DEVICE a value and does nothing else.
var (
	deviceLine   = regexp.MustCompile("(?m)^([ \\t]*(?:(?:export|readonly)[ \\t]+)?DEVICE=)(?:\"[^\"$`\\\\\\n]*\"|'[^'\\n]*'|[A-Za-z0-9_.,:@%+-]*\\r?)([ \\t]*(?:[ \\t]#.*)?)$")
	readonlyWord = regexp.MustCompile(`\breadonly\b`)
)

// giveDevice makes the settings end up with DEVICE=value by changing one of their
// files: the one that sets it last, or else conf. files are in the order in which
// /init sources them. In that file the last plain assignment is changed, or a line is added:
// whichever leads to the value. The result is the file's index and its new text; the index is
// -1 where the settings are right already, or where only the machine can tell.
func giveDevice(files []debian.SourceFile, conf, value string) (int, []byte, error) {
	before := debian.SourceInInit(files)
	if old, sure := before.Get("DEVICE"); before.Doubt != "" || sure && old == value {
		return -1, nil, nil
	}
	for _, at := range placesToGive(files, cmp.Or(before.Vars["DEVICE"].From, conf)) {
		for _, text := range [][]byte{lastLine(files[at].Text, value), oneMore(files, at, value)} {
			if text == nil {
				continue
			}
			changed := slices.Clone(files)
			changed[at].Text = text
			after := debian.SourceInInit(changed)
			if now, sure := after.Get("DEVICE"); sure && now == value && sameBut("DEVICE", before, after) {
				return at, text, nil
			}
		}
	}
	return -1, nil, fmt.Errorf("%s: no way found to have the settings say DEVICE=%s; change it there", conf, value)
}

// placesToGive is the indexes of the files to try. The file of that name comes first; then the
// others, the last one first, because a later file can undo what an earlier one sets.
func placesToGive(files []debian.SourceFile, name string) []int {
	var all []int
	for i, f := range slices.Backward(files) {
		if f.Name == name {
			all = append([]int{i}, all...)
		} else {
			all = append(all, i)
		}
	}
	return all
}

// lastLine gives the last plain assignment the value; nil where there is none.
func lastLine(text []byte, value string) []byte {
	all := deviceLine.FindAllSubmatchIndex(text, -1)
	if all == nil {
		return nil
	}
	m := all[len(all)-1]
	return slices.Concat(text[:m[3]], []byte(value), text[m[4]:])
}

// oneMore adds a line; nil where an earlier one may forbid it.
func oneMore(files []debian.SourceFile, at int, value string) []byte {
	if slices.ContainsFunc(files, func(f debian.SourceFile) bool { return readonlyWord.Match(f.Text) }) {
		return nil
	}
	return slices.Concat(endLine(files[at].Text), []byte("DEVICE="+value+"\n"))
}

// sameBut reports whether settings differ in nothing but one variable.
func sameBut(name string, a, b debian.Settings) bool {
	rest := func(s debian.Settings) map[string]debian.Variable {
		vars := maps.Clone(s.Vars)
		delete(vars, name)
		return vars
	}
	return a.Doubt == b.Doubt && reflect.DeepEqual(rest(a), rest(b))
}
