package dpkg

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// splitStanzas are the parts of a control file that empty lines separate.
func splitStanzas(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n\n"), func(s string) bool { return strings.TrimSpace(s) == "" })
}

// stanza is a package in dpkg's status file.
type stanza struct {
	pkg       Package
	installed bool
	partly    bool              // dpkg was stopped while it put it there for the first time, or took it away
	multiple  bool              // it may be there for several architectures
	conffiles map[string]string // path to MD5
}

// replaces reports whether s is a later record of the package that old is one of.
func (s *stanza) replaces(old *stanza) bool {
	return s.pkg.Name == old.pkg.Name && (!s.multiple || s.pkg.Architecture == old.pkg.Architecture)
}

// maxStanza bounds a package's record in bytes; the longest, of conffiles and what a kernel provides, have some ten thousand.
const maxStanza = 1 << 20

func parseStanza(text string) (*stanza, error) {
	if len(text) > maxStanza {
		return nil, fmt.Errorf("longer than %d bytes", maxStanza)
	}
	s := &stanza{conffiles: map[string]string{}}
	fields, folded := map[string]string{}, map[string][]string{}
	name := ""
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			switch name {
			case "conffiles":
				s.addConffile(line)
			case "depends", "pre-depends", "provides", "built-using", "static-built-using":
				folded[name] = append(folded[name], strings.TrimSpace(line))
			}
			continue
		}
		var value string
		var ok bool
		if name, value, ok = strings.Cut(line, ":"); !ok || name == "" {
			return nil, fmt.Errorf("not a field: %.40q", line)
		}
		name = strings.ToLower(strings.TrimSpace(name)) // deb822(5): their case means nothing
		fields[name] = strings.TrimSpace(value)
		delete(folded, name)
	}
	for name, more := range folded {
		fields[name] += " " + strings.Join(more, " ")
	}
	p := &s.pkg
	p.Name, p.Version, p.Architecture = strings.ToLower(fields["package"]), fields["version"], fields["architecture"]
	if !isPackageName(p.Name) {
		return nil, fmt.Errorf("no package name: %.40q", p.Name)
	}
	p.Depends = append(parseRelations(fields["pre-depends"]), parseRelations(fields["depends"])...)
	p.Provides = parseRelations(fields["provides"])
	p.BuiltUsing = append(builtUsing(fields["built-using"], false), builtUsing(fields["static-built-using"], true)...)
	// "want flag status"; in these two states none of its files are there.
	status := strings.Fields(fields["status"])
	if len(status) != 3 {
		return nil, fmt.Errorf("%s: status %.40q", p.Name, fields["status"])
	}
	s.multiple = fields["multi-arch"] == "same"
	s.partly = status[2] == "half-installed"
	s.installed = status[2] != "not-installed" && status[2] != "config-files" && !(s.partly && p.Version == "")
	if s.installed && (!isVersion(p.Version) || !archName.MatchString(p.Architecture)) {
		return nil, fmt.Errorf("%s: version %.60q, architecture %.60q", p.Name, p.Version, p.Architecture)
	}
	// "Source: name (version)", each part only where it is another.
	p.Source, p.SourceVersion = p.Name, p.Version
	if src, version, _ := strings.Cut(fields["source"], " "); src != "" {
		p.Source = src
		if v := strings.Trim(version, "() "); v != "" {
			p.SourceVersion = v
		}
	}
	if !isSourceName(p.Source) || !isVersion(p.SourceVersion) { // dpkg takes any text
		p.Source, p.SourceVersion = p.Name, p.Version
	}
	return s, nil
}

var exactVersion = regexp.MustCompile(`^\s*(\S+)\s*\(=\s*(\S+)\s*\)`)

// builtUsing are the source packages that a field names, with their versions: one without says nothing that could be looked up.
func builtUsing(field string, static bool) (list []BuiltUsing) {
	for one := range strings.SplitSeq(field, ",") {
		if m := exactVersion.FindStringSubmatch(one); m != nil && isSourceName(m[1]) && isVersion(m[2]) {
			list = append(list, BuiltUsing{m[1], m[2], static})
		}
	}
	return list
}

// addConffile reads " /etc/x MD5 [flags]".
func (s *stanza) addConffile(line string) {
	if f := strings.Fields(line); len(f) >= 2 && isMD5(f[1]) {
		s.conffiles[strings.TrimPrefix(f[0], "/")] = f[1]
	}
}

// archName is how dpkg names one (Debian Policy, 5.6.8).
var archName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// isPackageName accepts what dpkg does (pkg_name_is_illegal), which is more than Debian Policy: packages of others may have one letter, underscores, and
// capitals, in whose place dpkg has small letters.
func isPackageName(s string) bool {
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && strings.IndexByte(alnum, s[0]) >= 0 && strings.Trim(s, alnum+"+-._") == ""
}

// isSourceName accepts what Debian Policy does (5.6.1): others' tools look these up.
func isSourceName(s string) bool {
	return len(s) > 1 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// isVersion accepts the characters of deb-version(7).
func isVersion(s string) bool {
	return s != "" && len(s) <= maxVersion && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+~:-") == ""
}

func isMD5(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}
