package diff_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"
	"groundhog/manifest/diff"

	"github.com/google/go-cmp/cmp"
)

// rootTree is a manifest of a root tree, with files by name, in order, and what they may do; by a tool of that version.
func rootTree(tool string, files ...[2]string) *manifest.Manifest {
	m := &manifest.Manifest{Schema: 3, Tool: tool, Source: manifest.Root}
	for _, f := range files {
		e := manifest.Entry{Path: f[0], Type: manifest.File, Mode: 0o755, Size: 5, SHA256: strings.Repeat("5", 64), Capabilities: f[1]}
		if e.Capabilities != "" {
			m.Schema = 4
		}
		switch {
		case strings.HasPrefix(f[0], "other"): // whose content is like no other's
			e.SHA256 = strings.Repeat("6", 64)
		case strings.HasPrefix(f[0], "link"):
			e.Type, e.Size, e.SHA256, e.Target = manifest.Symlink, 0, "", "x"
		}
		m.Entries = append(m.Entries, e)
	}
	return m
}

const (
	older = "groundhog 0.13.0" // which did not read capabilities
	newer = "groundhog 0.14.0"
)

// trips is what breaks the rule setuid.
func trips(t *testing.T, c *diff.Changes) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, trip := range c.Gate(judge.Value(diff.ParseRules("setuid"))(t)) {
		got[trip.Where] = trip.What
	}
	return got
}

// A file that gains capabilities breaks the rule that one breaks which gains setuid; and that is said in every form of the report.
func TestCapabilities(t *testing.T) {
	old := rootTree(newer, [2]string{"gains"}, [2]string{"keeps", "cap_net_raw=ep"}, [2]string{"loses", "cap_net_raw=ep"}, [2]string{"other", "=ep"},
		[2]string{"others", "cap_net_raw=ep"}, [2]string{"setuid"})
	now := rootTree(newer, [2]string{"added", "cap_chown=p [rootid=1000]"}, [2]string{"gains", "cap_setuid=ep"}, [2]string{"keeps", "cap_net_raw=ep"}, [2]string{"loses"},
		[2]string{"othermoved", "=ep"}, [2]string{"others", "cap_net_admin=ep"}, [2]string{"setuid", "unknown"})
	now.Entries[6].Mode = 0o4755
	c := diff.Of(old, now, false)
	want := map[string]string{"added": "capabilities cap_chown=p [rootid=1000]", "gains": "capabilities none -> cap_setuid=ep",
		"others": "capabilities cap_net_raw=ep -> cap_net_admin=ep", "setuid": "mode 4755, capabilities none -> unknown"}
	if d := cmp.Diff(want, trips(t, c)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var text, brief, markdown, page, js bytes.Buffer
	judge.Must(t, errors.Join(c.WriteText(&text, false), c.WriteBrief(&brief, false), c.WriteMarkdown(&markdown), c.WriteHTML(&page, old, now), c.WriteJSON(&js)))
	const wantText = `unattributed: 6 files, +5 B
  A added  capabilities cap_chown=p [rootid=1000], +5 B
  M gains  capabilities none -> cap_setuid=ep
  M loses  capabilities cap_net_raw=ep -> none
  R other -> othermoved  ±0 B
  M others  capabilities cap_net_raw=ep -> cap_net_admin=ep
  M setuid  mode 0755 -> 4755, capabilities none -> unknown
`
	if d := cmp.Diff(wantText, text.String()[:min(text.Len(), len(wantText))]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if brief.String() != text.String() {
		t.Errorf("%s", brief.String())
	}
	for name, form := range map[string]struct{ report, want string }{
		"markdown":       {markdown.String(), "M gains  capabilities none -> cap_setuid=ep\n"},
		"markdown trip":  {markdown.String(), "**setuid** `gains`: `capabilities none -> cap_setuid=ep`"},
		"html":           {page.String(), `"capabilities none -\u003e cap_setuid=ep"`},
		"json":           {js.String(), "\"fields\": [\n            \"capabilities\"\n          ]"},
		"json, the file": {js.String(), `"capabilities": "cap_setuid=ep"`},
	} {
		if !strings.Contains(form.report, form.want) {
			t.Errorf("%s: no %q in\n%s", name, form.want, form.report)
		}
		if strings.Contains(form.report, "ot compared") {
			t.Errorf("%s: %s", name, form.report)
		}
	}
}

// Where there is more than fits on a screen, a file that gains capabilities or loses them is shown.
func TestCapabilitiesAreNotable(t *testing.T) {
	old, now := [][2]string{{"usr/bin/gains"}, {"usr/bin/loses", "=ep"}}, [][2]string{{"usr/bin/gains", "=ep"}, {"usr/bin/loses"}}
	for i := range 100 {
		name := "usr/bin/" + strings.Repeat("x", i+1)
		old, now = append(old, [2]string{name}), append(now, [2]string{name})
	}
	a, b := rootTree(newer, old...), rootTree(newer, now...)
	for i := range b.Entries[2:] {
		b.Entries[2+i].SHA256 = strings.Repeat("8", 64)
	}
	var brief bytes.Buffer
	judge.Must(t, diff.Of(a, b, false).WriteBrief(&brief, false))
	for _, want := range []string{"M usr/bin/gains  capabilities none -> =ep\n", "M usr/bin/loses  capabilities =ep -> none\n"} {
		if !strings.Contains(brief.String(), want) {
			t.Errorf("no %q in\n%s", want, brief.String())
		}
	}
}

// A manifest from before capabilities were read says nothing of those of its files: none of them has gained any, and that is said.
// A file that was not there has what it has.
func TestCapabilitiesOfOlderManifest(t *testing.T) {
	old := [][2]string{{"link"}, {"ping"}, {"plain"}}
	now := [][2]string{{"link", "cap_chown=ep"}, {"otherfile", "=ep"}, {"ping", "cap_net_raw=ep"}, {"plain"}}
	build := func(tool string, files [][2]string) *manifest.Manifest {
		m := rootTree(tool, files...)
		for i := range m.Entries {
			if e := &m.Entries[i]; e.Capabilities != "" && e.Type == manifest.Symlink { // that became a file
				*e = manifest.Entry{Path: e.Path, Type: manifest.File, Mode: 0o755, SHA256: strings.Repeat("7", 64), Capabilities: e.Capabilities}
			}
		}
		return m
	}
	const unread = "file capabilities: the old manifest is of a groundhog that did not read them"
	c := diff.Of(build(older, old), build(newer, now), false)
	if d := cmp.Diff(map[string]string{"link": "capabilities none -> cap_chown=ep", "otherfile": "capabilities =ep"}, trips(t, c)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := c.UnreadLine(); got != unread || c.Old.Capabilities || !c.New.Capabilities {
		t.Errorf("%q", got)
	}
	if d := cmp.Diff(map[string]string{"link": "capabilities none -> cap_chown=ep", "otherfile": "capabilities =ep", "ping": "capabilities none -> cap_net_raw=ep"},
		trips(t, diff.Of(build(newer, old), build(newer, now), false))); d != "" {
		t.Errorf("of the same tree by a newer one (-want +got):\n%s", d)
	}

	// The same tree, described by both: nothing differs, in either direction, and that something was not compared is in every report.
	a, b := rootTree(older, [2]string{"ping"}), rootTree(newer, [2]string{"ping", "cap_net_raw=ep"})
	for _, two := range [][2]*manifest.Manifest{{a, b}, {b, a}, {a, a}} {
		c := diff.Of(two[0], two[1], false)
		if !c.Same || len(c.Gate(judge.Value(diff.ParseRules("any,changed,mode,setuid"))(t))) != 0 {
			t.Errorf("%v", c.Tripped)
		}
		var text, markdown, page bytes.Buffer
		judge.Must(t, errors.Join(c.WriteBrief(&text, false), c.WriteMarkdown(&markdown), c.WriteHTML(&page, two[0], two[1])))
		for _, report := range []string{text.String(), markdown.String(), page.String()} {
			if !strings.Contains(strings.ToLower(report), "not compared: file capabilities: ") {
				t.Errorf("%s", report)
			}
		}
	}
	if got := diff.Of(a, a, false).UnreadLine(); got != "file capabilities: both manifests are of a groundhog that did not read them" {
		t.Errorf("%q", got)
	}
}
