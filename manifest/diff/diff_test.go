package diff_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/manifest"
	"groundhog/manifest/diff"

	"github.com/google/go-cmp/cmp"
)

// summary is the changes of entries as lines: kind, path, what.
func summary(c *diff.Changes) []string {
	var lines []string
	for _, ch := range c.Each {
		where := ch.Path
		if ch.Kind == diff.Moved {
			where = ch.From + " " + ch.Path
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", ch.Mark(), where, strings.Join(ch.Fields, ","))))
	}
	slices.Sort(lines)
	return lines
}

// world is an archive's files as a test thinks of them.
type world map[string]initrd.Entry

func (w world) archive(t testing.TB) *initrd.Image {
	entries := []initrd.Entry{dir("."), dir("a"), dir("b")}
	for _, name := range slices.Sorted(maps.Keys(w)) {
		e := w[name]
		e.Name = name
		entries = append(entries, e)
	}
	return archive(t, entries...)
}

// Of random pairs of archives Diff finds what a comparison of two maps finds,
// and nothing between an archive and itself.
func TestDiffAgainstMaps(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func() initrd.Entry {
		e := file("", fmt.Sprint("content ", rnd.IntN(1e9)))
		switch rnd.IntN(6) {
		case 0:
			e = link("", fmt.Sprint("to", rnd.IntN(3)))
		case 1:
			e = mapNode("", 1, uint32(rnd.IntN(3)))
		case 2:
			e.Mode |= 0o111
		case 3:
			e.UID = 7
		}
		return e
	}
	for range 200 {
		a := world{}
		for i := range 12 {
			if rnd.IntN(2) == 0 {
				a[fmt.Sprintf("%c/%d", "ab"[i%2], i)] = random()
			}
		}
		b := maps.Clone(a)
		for i := range 12 {
			name := fmt.Sprintf("%c/%d", "ab"[i%2], i)
			switch rnd.IntN(6) {
			case 0:
				b[name] = random()
			case 1:
				delete(b, name)
			}
		}
		var want []string
		for name, old := range a {
			now, there := b[name]
			switch {
			case !there:
				want = append(want, "D "+name)
			case differs(old, now) != "":
				want = append(want, "M "+name+" "+differs(old, now))
			}
		}
		for name := range b {
			if _, was := a[name]; !was {
				want = append(want, "A "+name)
			}
		}
		slices.Sort(want)
		ma, mb := of(t, a.archive(t)), of(t, b.archive(t))
		c := diff.Of(ma, mb, false)
		if d := cmp.Diff(want, summary(c)); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
		if c.Same != (len(want) == 0) || !diff.Of(ma, ma, false).Same {
			t.Fatalf("same: %v", c.Same)
		}
	}
}

func differs(a, b initrd.Entry) string {
	var f []string
	if a.Type() != b.Type() {
		f = append(f, "type")
	} else if a.IsFile() && !bytes.Equal(a.Data, b.Data) {
		f = append(f, "content")
	}
	if a.Perm() != b.Perm() {
		f = append(f, "mode")
	}
	if a.UID != b.UID {
		f = append(f, "owner")
	}
	if a.Type() == b.Type() && a.IsLink() && !bytes.Equal(a.Data, b.Data) {
		f = append(f, "target")
	}
	if a.Type() == b.Type() && a.Rdev != b.Rdev {
		f = append(f, "device")
	}
	return strings.Join(f, ",")
}

// home is an archive with root's home of that name.
func home(t testing.TB, name, passwd string, mtime uint32, cache string) *manifest.Manifest {
	entries := []initrd.Entry{dir("."), dir("etc"), file("etc/passwd", fmt.Sprintf(passwd, name)), file("etc/ld.so.cache", cache),
		dir(name), dir(name + "/.ssh"), file(name+"/.ssh/authorized_keys", ""), hard("x", "", mtime, 2), hard("y", "same", mtime, 2)}
	for i := range entries {
		entries[i].Mtime = mtime
	}
	return of(t, archive(t, entries...))
}

// What differs from build to build is folded, and what hides behind it is not.
func TestNoise(t *testing.T) {
	const passwd = "root:*:0:0::/%s:/bin/sh\n"
	a := home(t, "root-abcdefghij", passwd, 1, "one")
	b := home(t, "root-0123456789", passwd, 2, "two")
	c := diff.Of(a, b, false)
	if !c.Same || len(summary(c)) != 0 {
		t.Errorf("noise was taken for a difference: %q", summary(c))
	}
	want := []diff.Fold{{Noise: "time", Count: 9}, {Noise: "random home", Count: 4}, {Noise: "ld.so.cache", Count: 1}}
	if d := cmp.Diff(want, c.Folded); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n := len(summary(diff.Of(a, b, true))); n != 9 {
		t.Errorf("with all: %d entries, want 9", n)
	}
	// An unlocked password behind the same random name.
	evil := home(t, "root-0123456789", "root::0:0:: /%s:/bin/sh\n", 2, "two")
	if got := summary(diff.Of(a, evil, false)); !slices.Equal(got, []string{"M etc/passwd content"}) {
		t.Errorf("etc/passwd: %q", got)
	}
}

func TestMoved(t *testing.T) {
	a := of(t, archive(t, dir("."), dir("a"), dir("b"), file("a/x", "one"), file("a/y", "two"), file("a/z", "")))
	b := of(t, archive(t, dir("."), dir("a"), dir("b"), file("b/x", "one"), file("a/y2", "two"), file("b/y2", "two"), file("b/z", "")))
	got := summary(diff.Of(a, b, false))
	want := []string{"A b/y2", "A b/z", "D a/z", "R a/x b/x", "R a/y a/y2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// busybox with one more applet: the names that share its inode are noise.
func TestHardLinks(t *testing.T) {
	a := of(t, archive(t, hard("b", "", 1, 2), hard("c", "busybox", 1, 2)))
	b := of(t, archive(t, hard("a", "", 1, 3), hard("b", "", 1, 3), hard("c", "busybox", 1, 3)))
	c := diff.Of(a, b, false)
	if got := summary(c); !slices.Equal(got, []string{"A a"}) || c.Total.Growth != 0 {
		t.Errorf("%q, growth %d", got, c.Total.Growth)
	}
}

// pairOfBuilds is two manifests with packages, keys, modules and patches.
func pairOfBuilds() (a, b *manifest.Manifest) {
	sum := func(n int) string { return strings.Repeat(fmt.Sprint(n), 64)[:64] }
	pkg := func(name string) *manifest.Origin {
		return &manifest.Origin{Kind: manifest.FromPackage, Name: name, Architecture: "amd64"}
	}
	f := func(path string, size int64, n int, o *manifest.Origin) manifest.Entry {
		return manifest.Entry{Path: path, Type: manifest.File, Mode: 0o755, Size: size, SHA256: sum(n), Origin: o}
	}
	base := func(size int64, version, compression string) *manifest.Manifest {
		return &manifest.Manifest{Schema: 1, Source: manifest.Initramfs, Architecture: "amd64",
			Archive:  &manifest.Archive{SHA256: sum(int(size)), Size: size, Unpacked: 3 * size},
			Segments: []manifest.Segment{{Size: size, Unpacked: 3 * size, Compression: compression, Entries: 4}},
			Packages: []manifest.Package{{Name: "curl", Version: "7.88.1-10+deb12u" + version, Architecture: "amd64"},
				{Name: "libc6", Version: "2.36-9", Architecture: "amd64"}}}
	}
	a, b = base(100000, "12", "gzip"), base(120000, "14", "zstd")
	a.Kernels, b.Kernels = []string{"6.1.0-55-amd64"}, []string{"6.1.0-56-amd64"}
	a.HostKeys = []manifest.Key{{Path: "etc/dropbear/k", Type: "ssh-ed25519", Bits: 256, Fingerprint: "SHA256:old"}}
	b.HostKeys = []manifest.Key{{Path: "etc/dropbear/k", Type: "ssh-ed25519", Bits: 256, Fingerprint: "SHA256:new"}}
	b.Patches = []manifest.Patch{{Name: "link", Summary: "-W 1048576 -K 5"}}
	a.Entries = []manifest.Entry{f("usr/bin/curl", 3000, 1, pkg("curl")), f("usr/bin/same", 10, 2, pkg("libc6")),
		f("usr/lib/modules/6.1.0-55-amd64/a.ko", 10, 3, nil), f("usr/lib/old.so", 500, 4, pkg("curl"))}
	b.Entries = []manifest.Entry{f("usr/bin/curl", 4228, 5, pkg("curl")), f("usr/bin/same", 10, 2, pkg("libc6")),
		f("usr/bin/su", 99, 8, &manifest.Origin{Kind: manifest.FromUnknown}),
		f("usr/lib/modules/6.1.0-56-amd64/a.ko", 10, 3, nil), f("usr/lib/modules/6.1.0-56-amd64/smsc95xx.ko.xz", 20, 6, nil),
		f("usr/lib/new.so", 500, 7, pkg("curl"))}
	b.Entries[2].Mode = 0o4755
	return a, b
}

// Of many entries that a later copy hides a person reads a few, those that one side alone has; JSON has them all.
func TestShadowedBrief(t *testing.T) {
	build := func(hides int) *manifest.Manifest {
		w := world{}
		for i := range 40 {
			w[fmt.Sprintf("f%02d", i)] = file("", "later")
		}
		entries := []initrd.Entry{dir(".")}
		for i := range hides {
			entries = append(entries, file(fmt.Sprintf("f%02d", i), "earlier"))
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			entries = append(entries, file(name, "later"))
		}
		return of(t, archive(t, entries...))
	}
	c := diff.Of(build(1), build(31), false)
	var text, markdown bytes.Buffer
	judge.Must(t, errors.Join(c.WriteText(&text, false), c.WriteMarkdown(&markdown)))
	for _, report := range []string{text.String(), markdown.String()} {
		if !strings.Contains(report, "f03 0644") || !strings.Contains(report, "and 27 more") || strings.Contains(report, "f00") || strings.Contains(report, "f04") {
			t.Errorf("%s", report)
		}
	}
	if full := c.Facts[len(c.Facts)-1].New; !strings.Contains(full, "f00") || !strings.Contains(full, "f30") {
		t.Errorf("%q", full)
	}
}

// What anybody may write to trips the rule when it comes to be so, and nothing else does.
func TestGateWritable(t *testing.T) {
	shared := func(e initrd.Entry) initrd.Entry { e.Mode |= 0o002; return e }
	sticky := func(e initrd.Entry) initrd.Entry { e.Mode |= 0o1000; return e }
	old := world{"was": shared(file("", "x")), "tmp": sticky(shared(dir(""))), "moved": shared(file("", "a file that moves")), "made": file("", "y"), "open": dir(""),
		"private": shared(dir(""))}
	now := world{"was": shared(file("", "other")), "tmp": shared(dir("")), "b/moved": shared(file("", "a file that moves")), "made": shared(file("", "y")), "open": shared(dir("")),
		"private": dir(""), "new": shared(file("", "z")), "newtmp": sticky(shared(dir(""))), "null": shared(mapNode("", 1, 3)), "link": link("", "was")}
	rules := judge.Value(diff.ParseRules("writable"))(t)
	var tripped []string
	for _, trip := range diff.Of(of(t, old.archive(t)), of(t, now.archive(t)), false).Gate(rules) {
		tripped = append(tripped, trip.Where)
	}
	slices.Sort(tripped)
	if d := cmp.Diff([]string{"made", "new", "open", "tmp"}, tripped); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

const wantText = `~ kernel       6.1.0-55-amd64 -> 6.1.0-56-amd64: 2 modules, 0 changed in size, 1 new
+ host key     256 ssh-ed25519 SHA256:new
- host key     256 ssh-ed25519 SHA256:old
+ patch        link: -W 1048576 -K 5
~ segment 0    gzip -> zstd
+ modules      smsc95xx
curl 7.88.1-10+deb12u12 -> 7.88.1-10+deb12u14: 3 files, +1.2 KiB
  M usr/bin/curl  content, +1.2 KiB
  A usr/lib/new.so  +500 B
  D usr/lib/old.so  -500 B
from no package: 1 file, +99 B
  A usr/bin/su  mode 4755, +99 B
unattributed: 1 file, +20 B
  A usr/lib/modules/6.1.0-56-amd64/smsc95xx.ko.xz  +20 B
total: 3 added, 1 removed, 1 changed, 0 moved; content 3.4 KiB -> 4.8 KiB (+1.3 KiB, +38.3%); file 97.7 KiB -> 117.2 KiB (+19.5 KiB, +20.0%)
folded: kernel release of 1 entry
tripped size>5%: the file: 97.7 KiB -> 117.2 KiB (+19.5 KiB, +20.0%)
tripped setuid: usr/bin/su: mode 4755
`

func TestText(t *testing.T) {
	c := diff.Of(pair(pairOfBuilds()))
	rules := judge.Value(diff.ParseRules("size>5%, setuid"))(t)
	c.Gate(rules)
	var b bytes.Buffer
	judge.Must(t, c.WriteText(&b, false))
	if d := cmp.Diff(wantText, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var colored bytes.Buffer
	c.WriteText(&colored, true)
	plain := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[36m", "").Replace(colored.String())
	if plain != b.String() || colored.Len() == b.Len() {
		t.Error("colour changes more than the colour")
	}
}

func pair(a, b *manifest.Manifest) (*manifest.Manifest, *manifest.Manifest, bool) { return a, b, false }

func TestGate(t *testing.T) {
	same, _ := pairOfBuilds()
	for rule, want := range map[string]int{"any": 1, "added": 3, "removed": 1, "changed": 1, "moved": 0, "content": 1, "mode": 0,
		"owner": 0, "type": 0, "target": 0, "device": 0, "setuid": 1, "writable": 0, "unknown": 1, "keys": 2, "packages": 1, "patches": 1, "segments": 1,
		"modules": 1, "kernel": 1, "release": 0, "architecture": 0, "size>5%": 1, "size>20%": 0, "size>19.9%": 1, "size>10kB": 1,
		"size>20KiB": 0, "size>0": 1, "unpacked>1KiB": 1, "unpacked>50%": 0, "unpacked>1.4KiB": 0} {
		rules, err := diff.ParseRules(rule)
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got := diff.Of(pair(pairOfBuilds())).Gate(rules); len(got) != want {
			t.Errorf("%s tripped %d times, want %d: %v", rule, len(got), want, got)
		}
		if got := diff.Of(same, same, false).Gate(rules); len(got) != 0 {
			t.Errorf("%s tripped on nothing: %v", rule, got)
		}
	}
	for _, name := range diff.RuleNames {
		if _, err := diff.ParseRules(strings.Replace(name, "N", "5%", 1)); err != nil {
			t.Errorf("%s is listed, but: %v", name, err)
		}
	}
	for _, bad := range []string{"", "size", "size>", "size>x", "size>-1", "added>5", "Added", "added,,mode", "size>NaN", "size>Inf", "size>5", "unpacked>1e3"} {
		if _, err := diff.ParseRules(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// The rule on files from no package cannot be judged where nothing was attributed.
func TestGateThatCannotTrip(t *testing.T) {
	rules := judge.Value(diff.ParseRules("setuid,unknown"))(t)
	a, b := pairOfBuilds()
	if err := diff.Of(a, b, false).Judges(rules); err != nil {
		t.Errorf("attributed: %v", err)
	}
	b.Packages = nil
	if err := diff.Of(a, b, false).Judges(rules); !errors.Is(err, diff.ErrUnattributed) {
		t.Errorf("unattributed: %v", err)
	}
	if err := diff.Of(a, b, false).Judges(rules[:1]); err != nil {
		t.Errorf("without that rule: %v", err)
	}
}

// A report never is longer than a comment may be, and nothing in it can end
// its own markup.
func TestMarkdown(t *testing.T) {
	c := diff.Of(pair(pairOfBuilds()))
	var b bytes.Buffer
	judge.Must(t, c.WriteMarkdown(&b))
	for _, want := range []string{"### Initramfs: changed", "| `curl 7.88.1-10+deb12u12 -> 7.88.1-10+deb12u14` | 3 | +1.2 KiB |",
		"<details><summary>", "M usr/bin/curl  content, +1.2 KiB", "- kernels: `6.1.0-55-amd64` → `6.1.0-56-amd64`"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	old, now := pairOfBuilds()
	now.Entries = nil
	for i := range 3000 {
		e := old.Entries[0]
		e.Path = fmt.Sprintf("x/```%d\n</details><script>|", i)
		e.Origin = &manifest.Origin{Kind: manifest.FromGenerator, Name: fmt.Sprint(i / 10)}
		now.Entries = append(now.Entries, e)
	}
	b.Reset()
	judge.Must(t, diff.Of(old, now, false).WriteMarkdown(&b))
	if b.Len() > 61000 || !strings.Contains(b.String(), "left out") {
		t.Errorf("%d bytes", b.Len())
	}
	if strings.Count(b.String(), "<details>") > strings.Count(b.String(), "\n</details>\n") {
		t.Error("a part was cut")
	}
}

func TestAddText(t *testing.T) {
	a := archive(t, file("conf", "one\ntwo\n"), file("bin", "\x1b[2J"), file("key", "-----BEGIN PRIVATE KEY-----\n"), file("gone", "x"))
	b := archive(t, file("conf", "one\n2\n"), file("bin", "\x01"), file("key", "-----BEGIN PRIVATE KEY-----\n1"), file("new", "y\n"))
	c := diff.Of(of(t, a), of(t, b), false)
	judge.Must(t, c.AddText(a, b))
	got := map[string]string{}
	for _, ch := range c.Each {
		got[ch.Path] = ch.Text
	}
	want := map[string]string{"bin": "", "key": "not shown: it holds a private key\n",
		"conf": "--- a/conf\n+++ b/conf\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n",
		"gone": "--- a/gone\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n\\ No newline at end of file\n",
		"new":  "--- /dev/null\n+++ b/new\n@@ -0,0 +1,1 @@\n+y\n"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
