package diff_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"
	"groundhog/manifest/diff"

	"github.com/google/go-cmp/cmp"
)

// crowded is two builds that differ in more than a screen has lines: 140 certificates, 1000 modules, 40 packages, a setuid bit.
func crowded() (a, b *manifest.Manifest) {
	side := func(build int) *manifest.Manifest {
		m := &manifest.Manifest{Schema: 1, Source: manifest.Root}
		add := func(path, pkg string, size int) {
			m.Entries = append(m.Entries, manifest.Entry{Path: path, Type: manifest.File, Mode: 0o755, Size: int64(size), SHA256: fmt.Sprintf("%064x", path+fmt.Sprint(build)),
				Origin: &manifest.Origin{Kind: manifest.FromPackage, Name: pkg, Architecture: "amd64"}})
		}
		for i := range 140 {
			add(fmt.Sprintf("etc/ssl/certs/%03d.pem", i), "ca-certificates", 1000+i*build)
		}
		for i := range 1000 {
			add(fmt.Sprintf("usr/lib/modules/6.1.0-50-amd64/kernel/d%d/m%03d.ko", i%30, i), "linux-image", 5000+10*build)
		}
		for i := range 40 {
			add(fmt.Sprintf("usr/lib/p%02d", i), fmt.Sprintf("p%02d", i), 100+i*build)
		}
		add("usr/bin/su", "p00", 100)
		for _, e := range m.Entries {
			m.Packages = append(m.Packages, manifest.Package{Name: e.Origin.Name, Version: fmt.Sprint(build), Architecture: "amd64"})
		}
		return m
	}
	a, b = side(1), side(2)
	b.Entries[len(b.Entries)-1].Mode = 0o4755
	return a, b
}

// A person reads one screen: what is largest, bundles on a line, and never without what may do more than before.
func TestBrief(t *testing.T) {
	rules := judge.Value(diff.ParseRules("changed"))(t)
	a, b := crowded()
	b.Entries[len(b.Entries)-1].Origin.Name = "linux-image"
	c := diff.Of(a, b, false)
	c.Gate(rules)
	var brief, whole bytes.Buffer
	judge.Must(t, c.WriteBrief(&brief, false))
	judge.Must(t, c.WriteText(&whole, false))
	if n := strings.Count(brief.String(), "\n"); n > 50 || strings.Count(whole.String(), "\n") < 1100 {
		t.Errorf("%d lines:\n%s", n, brief.String())
	}
	for _, want := range []string{"linux-image 1 -> 2: 1001 files, +9.8 KiB\n  M usr/bin/su  content, mode 0755 -> 4755\n  M 1000 modules of the kernel  +9.8 KiB\nca-certificates",
		"  M 140 files in etc/ssl/certs  +9.5 KiB\np39 1 -> 2: 1 file, +39 B\n", "\n32 packages more: 32 files, +496 B\n", "tripped changed: 1176 more\n", "-v"} {
		if !strings.Contains(brief.String(), want) {
			t.Errorf("no %q in\n%s", want, brief.String())
		}
	}
	c = diff.Of(pair(pairOfBuilds()))
	brief.Reset()
	whole.Reset()
	if c.WriteBrief(&brief, false) != nil || c.WriteText(&whole, false) != nil || brief.String() != whole.String() {
		t.Error("what fits on a screen is not shown whole")
	}
}

// What groundhog put there is told apart, for people and for a gate; no byte is counted twice or not at all.
func TestOwnGrowth(t *testing.T) {
	old := func() *manifest.Manifest {
		a, _ := pairOfBuilds()
		a.Entries = a.Entries[:2] // curl and same, of packages
		return a
	}
	a, b := old(), old()
	b.Patches = []manifest.Patch{{Name: "writer", Paths: []string{"usr/bin/groundhog-writer"}}, {Name: "curl", Paths: []string{"usr/bin/curl"}}}
	b.Entries[0].Size, b.Entries[0].SHA256, b.Entries[0].Patch = 3300, strings.Repeat("7", 64), "curl"
	b.Entries[1].Size, b.Entries[1].SHA256 = 17, strings.Repeat("9", 64)
	b.Entries = append(b.Entries, manifest.Entry{Path: "usr/bin/groundhog-writer", Type: manifest.File, Size: 5000, SHA256: strings.Repeat("6", 64),
		Patch: "writer", Origin: &manifest.Origin{Kind: manifest.FromGroundhog, Name: "writer"}})
	c := diff.Of(a, b, false)
	want := []diff.OwnChange{{Patch: "writer", Files: 1, Growth: 5000}, {Patch: "curl", Files: 1, Growth: 300}}
	if d := cmp.Diff(want, c.Own); d != "" || c.Total.Own != 5300 || c.Total.Growth != 5307 || c.New.Own != 8300 || c.Old.Own != 0 {
		t.Errorf("%+v %+v (-want +got):\n%s", c.Total, c.New, d)
	}
	for rule, trips := range map[string]bool{"unpacked>5305B": true, "own>5299B": true, "own>5300B": false, "rest>6B": true, "rest>7B": false, "rest>0.3%": false, "rest>0.2%": true} {
		rules := judge.Value(diff.ParseRules(rule))(t)
		if got := c.Gate(rules); (len(got) > 0) != trips {
			t.Errorf("%s: %v", rule, got)
		}
	}
	var text, markdown bytes.Buffer
	if c.WriteText(&text, false) != nil || c.WriteMarkdown(&markdown) != nil {
		t.Fatal("not written")
	}
	for _, out := range []string{text.String(), markdown.String()} {
		if want := "groundhog's own +5.2 KiB (writer +4.9 KiB, curl +300 B); the rest +7 B"; !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if back := diff.Of(b, a, false); back.Total.Own != -5300 || back.Total.Growth != -5307 {
		t.Errorf("the way back: %+v", back.Total)
	}
}
