package diff

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"groundhog/manifest"
)

// gateRules has a function for each rule's name, which reports what breaks it. It is
// nil for size, unpacked, own and rest: these have a limit, and Gate compares them itself.
var gateRules = map[string]func(c *Changes, found func(where, what string)){
	"any": func(c *Changes, found func(string, string)) {
		if !c.Same {
			found("archive", "something differs")
		}
	},
	"added":    entryRule(func(_ *Group, ch *Change) string { return kindIs(ch, Added) }),
	"removed":  entryRule(func(_ *Group, ch *Change) string { return kindIs(ch, Removed) }),
	"moved":    entryRule(func(_ *Group, ch *Change) string { return kindIs(ch, Moved) }),
	"changed":  entryRule(func(_ *Group, ch *Change) string { return kindIs(ch, Changed) }),
	"content":  entryRule(fieldIs(FieldContent)),
	"mode":     entryRule(fieldIs(FieldMode)),
	"owner":    entryRule(fieldIs(FieldOwner)),
	"type":     entryRule(fieldIs(FieldType)),
	"target":   entryRule(fieldIs(FieldTarget)),
	"device":   entryRule(fieldIs(FieldDevice)),
	"setuid":   entryRule(gainsPrivilege),
	"writable": entryRule(becomesWritable),
	"unknown": entryRule(func(_ *Group, ch *Change) string {
		if ch.New != nil && ch.New.Origin != nil && ch.New.Origin.Kind == manifest.FromUnknown && !ch.Folded() {
			return "from no package, and nothing known makes it"
		}
		if ch.New != nil && (ch.New.Type == manifest.Char || ch.New.Type == manifest.Block) && (ch.Old == nil || ch.Old.Type != ch.New.Type || ch.Old.Device != ch.New.Device) {
			return "a device node, which no package has and nothing known makes"
		}
		return ""
	}),
	"keys": func(c *Changes, found func(string, string)) {
		for _, k := range c.Keys {
			found(k.Path, fmt.Sprintf("%s %s key %s %s", k.Kind, k.Role, k.Type, k.Fingerprint))
		}
		entryRule(decidesLogin)(c, found)
	},
	"packages": func(c *Changes, found func(string, string)) {
		for _, g := range c.Packages {
			if g.Old != g.New || g.Was != "" {
				found(g.Name, versionsOf(&g))
			}
		}
	},
	"patches": func(c *Changes, found func(string, string)) {
		for _, p := range c.Patches {
			found(p.Name, string(p.Kind))
		}
	},
	"segments": func(c *Changes, found func(string, string)) {
		for _, s := range c.Segments {
			found("segment "+strconv.Itoa(s.Index), string(s.Kind))
		}
	},
	"modules": func(c *Changes, found func(string, string)) {
		for _, m := range c.Modules {
			found(m.Name, string(m.Kind))
		}
	},
	"kernel":       factRule("kernels"),
	"release":      factRule("release"),
	"architecture": factRule("architecture"),
	"size":         nil,
	"unpacked":     nil,
	"own":          nil,
	"rest":         nil,
}

// RuleNames are the rules that [ParseRules] knows, as --help lists them.
var RuleNames = []string{"any", "added", "removed", "changed", "moved", "content", "mode", "owner", "type", "target",
	"device", "setuid", "writable", "unknown", "keys", "packages", "patches", "segments", "modules", "kernel", "release",
	"architecture", "size>N", "unpacked>N", "own>N", "rest>N"}

func entryRule(find func(*Group, *Change) string) func(*Changes, func(string, string)) {
	return func(c *Changes, found func(string, string)) {
		for g, ch := range c.Each {
			if what := find(g, ch); what != "" {
				found(ch.Path, what)
			}
		}
	}
}

// decidingFiles is the files that say who may log in: accounts, and what dropbear goes by.
var decidingFiles = regexp.MustCompile(`^(?:etc/(?:passwd|shadow|group|shells|nsswitch\.conf|pam\.d/.*|ssh/.*|dropbear/(?:config|dropbear\.conf))|(?:.*/)?(?:authorized_keys|libnss_[^/]*\.so[^/]*))$`)

// decidesLogin finds decidingFiles that came, went or have another content. Only their content tells what a key's options allow,
// and an account's number.
func decidesLogin(g *Group, ch *Change) string {
	from, to := decidingFiles.MatchString(ch.From), decidingFiles.MatchString(ch.Path)
	if !from && !to || ch.Folded() {
		return ""
	}
	if ch.Kind == Moved && len(ch.Fields) == 0 && from && to && path.Base(ch.From) == path.Base(ch.Path) {
		return "" // to another home, for which its keys are told
	}
	if strings.Contains(ch.Path, "libnss_") && g.Origin == string(manifest.FromPackage) && (ch.New == nil || ch.New.Origin != nil && !ch.New.Origin.Modified) {
		return "" // of another version
	}
	return fmt.Sprintf("%s: it says who may log in", ch.Kind)
}

func kindIs(ch *Change, k Kind) string {
	switch {
	case ch.Kind != k || k == Changed && ch.Folded():
		return ""
	case k == Moved:
		return "moved from " + ch.From
	case k == Changed:
		return "changed: " + strings.Join(ch.Fields, ", ")
	}
	return string(k)
}

func fieldIs(field string) func(*Group, *Change) string {
	return func(_ *Group, ch *Change) string {
		if !slices.Contains(ch.Fields, field) {
			return ""
		}
		return describeField(ch, field)
	}
}

// gainsPrivilege finds files that now run with more than who starts them has and did not before, or with something else: by their mode
// or by their capabilities.
func gainsPrivilege(g *Group, ch *Change) string {
	return strings.Join(slices.DeleteFunc([]string{gainsSetuid(g, ch), gainsCapabilities(ch)}, func(s string) bool { return s == "" }), ", ")
}

// gainsCapabilities finds files whose capabilities are new or others. Of a file that was there only what was compared counts.
func gainsCapabilities(ch *Change) string {
	switch {
	case ch.New == nil || ch.New.Capabilities == "":
		return ""
	case ch.Old == nil:
		return FieldCapabilities + " " + ch.New.Capabilities
	case slices.Contains(ch.Fields, FieldCapabilities):
		return describeField(ch, FieldCapabilities)
	}
	return ""
}

// gainsSetuid finds files that now run as their owner or group and did not before.
func gainsSetuid(_ *Group, ch *Change) string {
	const bits = 0o6000
	if ch.New == nil || ch.New.Type != manifest.File || ch.New.Mode&bits == 0 {
		return ""
	}
	if ch.Old != nil && ch.Old.Type == manifest.File && ch.Old.Mode&bits == ch.New.Mode&bits && ch.Old.UID == ch.New.UID && ch.Old.GID == ch.New.GID {
		return ""
	}
	return "mode " + ch.New.Mode.String()
}

// becomesWritable finds files and directories that anybody may write to now and could not before. A sticky directory is not
// among them: there everybody has files of their own, as in /tmp.
func becomesWritable(_ *Group, ch *Change) string {
	if !writableByAll(ch.New) || writableByAll(ch.Old) {
		return ""
	}
	return "mode " + ch.New.Mode.String() + ": anybody may write to it"
}

func writableByAll(e *manifest.Entry) bool {
	const others, sticky = 0o002, 0o1000
	return e != nil && e.Mode&others != 0 && (e.Type == manifest.File || e.Type == manifest.Dir && e.Mode&sticky == 0)
}

func factRule(name string) func(*Changes, func(string, string)) {
	return func(c *Changes, found func(string, string)) {
		for _, f := range c.Facts {
			if f.Name == name {
				found(name, f.Old+" -> "+f.New)
			}
		}
	}
}
