package diff_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"
	"groundhog/manifest/diff"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	goldmarkhtml "github.com/yuin/goldmark/renderer/html"
	"golang.org/x/net/html"
)

// evil is texts that try to become more than a text, each with a mark by which it
// is found again.
var evil = []string{
	"```<img src=x onerror=alert(1)>EVIL",
	"a`b``c```d````<script>EVIL</script>",
	"`EVIL", "EVIL`", "`` EVIL ``", "```\n\n<h1>EVIL</h1>\n\n```", "~~~\nEVIL\n~~~",
	"</code></pre></summary></details><h1>EVIL</h1>",
	"x```</details>EVIL", "|EVIL|`|<b>EVIL</b>", `\|EVIL\`, "\\`EVIL\\`", "\\\\`<b>EVIL</b>",
	"[EVIL](https://evil.example)", "![EVIL](https://evil.example/x.png)", "<https://evil.example/EVIL>",
	"https://evil.example/EVIL", "www.evil.example/EVIL", "mail@evil.example EVIL", "@everyone EVIL", "#1 EVIL", "&lt;b&gt;EVIL",
	"*EVIL* __EVIL__ ~~EVIL~~", "- [x] EVIL", "\r\n# EVIL", "\u2028# EVIL", "<!-- EVIL", "<![CDATA[ EVIL", "<?EVIL", "$EVIL$ `$EVIL$`",
	"\x1b]8;;https://evil.example\x07EVIL\x1b]8;;\x07", "\u202eEVIL", "\x9bEVIL", "\u009b31mEVIL", "-->EVIL", "{{EVIL}}", "${EVIL}", "EVIL\x00<b>",
}

// evilBuilds is two manifests that differ in all that a report can show, and every
// text in which is s.
func evilBuilds(s string) (a, b *manifest.Manifest) {
	sum := strings.Repeat("e", 64)
	entry := func(path string, mode manifest.Mode, o *manifest.Origin) manifest.Entry {
		return manifest.Entry{Path: path, Type: manifest.File, Mode: mode, Size: 1, SHA256: sum, Target: s, Capabilities: s, Origin: o}
	}
	side := func(tag string) *manifest.Manifest {
		return &manifest.Manifest{Schema: 1, Tool: tag + s, Source: manifest.Initramfs, Release: tag + s, Architecture: tag + s,
			Archive: &manifest.Archive{Name: s, SHA256: sum, Size: 1}, Kernels: []string{tag + s},
			Groundhog: &manifest.Groundhog{Tool: tag + s, Build: tag + s, Board: tag + s}, Problems: []string{s}}
	}
	a, b = side("a"), side("b")
	b.HostKeys = []manifest.Key{{Path: s, Type: s, Bits: 1, Fingerprint: s, Comment: s}}
	b.AuthorizedKeys = b.HostKeys
	b.Patches = []manifest.Patch{{Name: s, Summary: s, Paths: []string{s}}}
	b.Segments = []manifest.Segment{{Compression: s, Entries: 1}}
	b.Packages = []manifest.Package{{Name: s, Version: s, Architecture: s, Source: s, SourceVersion: s}}
	a.Packages = []manifest.Package{{Name: s, Version: "1" + s, Architecture: s, Source: s, SourceVersion: s}}
	link := entry("link"+s, 0o777, nil)
	link.Type = manifest.Symlink
	node := entry("node"+s, 0o600, nil)
	node.Type, node.Device = manifest.Char, s
	a.Entries = []manifest.Entry{entry("gone"+s, 0o644, &manifest.Origin{Kind: manifest.FromPackage, Name: s, Architecture: s})}
	b.Entries = []manifest.Entry{link, node,
		entry(s, 0o4755, &manifest.Origin{Kind: manifest.FromPackage, Name: s, Architecture: s}),
		entry("gen"+s, 0o644, &manifest.Origin{Kind: manifest.FromGenerator, Name: s}),
		entry("patch"+s, 0o644, &manifest.Origin{Kind: manifest.FromGroundhog, Name: s}),
		entry("odd"+s, 0o644, &manifest.Origin{Kind: manifest.OriginKind(s), Name: s}),
		entry("usr/lib/modules/6.1/kernel/"+s+".ko", 0o644, &manifest.Origin{Kind: manifest.FromUnknown})}
	return a, b
}

// evilChanges is what differs between them, every rule tripped, with a text.
func evilChanges(t testing.TB, s string) (c *diff.Changes, a, b *manifest.Manifest) {
	t.Helper()
	rules, err := diff.ParseRules("any,added,removed,changed,setuid,unknown,keys,packages,patches,segments,modules,kernel,release,architecture")
	if err != nil {
		t.Fatal(err)
	}
	a, b = evilBuilds(s)
	c = diff.Of(a, b, true)
	c.Gate(rules)
	for _, ch := range c.Each {
		ch.Text = diff.UnifiedDiff(s, s, []byte(strings.ToValidUTF8(s, "")+"\nx\n"), []byte("y"+strings.ToValidUTF8(s, "")))
	}
	return c, a, b
}

// liveMarkdown is what stands in a report beside code: elements that a report of
// ours has none of, and hostile text that left its code.
func liveMarkdown(t testing.TB, report []byte) []string {
	t.Helper()
	var page bytes.Buffer
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(goldmarkhtml.WithUnsafe()))
	judge.Must(t, md.Convert(report, &page))
	doc := judge.Value(html.Parse(&page))(t)
	allowed := []string{"html", "head", "body", "h3", "p", "ul", "li", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td",
		"details", "summary"}
	return liveIn(doc, allowed, []string{"class", "style", "align"}, []string{"code"})
}

// liveIn walks a page: what is no element or attribute of the allowed ones, what
// is a comment, and hostile text outside of the elements that may hold text.
func liveIn(doc *html.Node, elements, attributes, texts []string) []string {
	var live []string
	for n := range doc.Descendants() {
		inside := slices.ContainsFunc(slices.Collect(n.Ancestors()), func(a *html.Node) bool { return slices.Contains(texts, a.Data) })
		switch {
		case n.Type == html.ElementNode && (!slices.Contains(elements, n.Data) || inside):
			live = append(live, "<"+n.Data+">")
		case n.Type == html.CommentNode:
			live = append(live, "<!--"+n.Data+"-->")
		case n.Type == html.TextNode && strings.Contains(n.Data, "EVIL") && !inside:
			live = append(live, n.Data)
		case n.Type == html.TextNode && strings.ContainsAny(n.Data, "\x1b\u202e\u009b\x07"):
			live = append(live, fmt.Sprintf("%q", n.Data))
		}
		for _, a := range n.Attr {
			if !slices.Contains(attributes, a.Key) || strings.Contains(a.Val, "EVIL") {
				live = append(live, a.Key+"="+a.Val)
			}
		}
	}
	return live
}

// Nothing of an archive is anything but code in a Markdown report, rendered by a
// real renderer with GitHub's extensions and raw HTML allowed.
func TestMarkdownHostile(t *testing.T) {
	for _, s := range evil {
		c, _, _ := evilChanges(t, s)
		var b bytes.Buffer
		judge.Must(t, c.WriteMarkdown(&b))
		if live := liveMarkdown(t, b.Bytes()); len(live) > 0 {
			t.Errorf("%q: live: %q\n%s", s, live[:min(len(live), 6)], b.String())
		}
		if n := strings.Count(b.String(), "EVIL"); n < 20 {
			t.Errorf("%q: named %d times only: the test has gone blind", s, n)
		}
	}
	if live := liveMarkdown(t, []byte("- `a`<b>EVIL</b> [x](https://evil.example)\n")); len(live) < 3 {
		t.Errorf("the judge sees nothing: %q", live)
	}
}

// skeleton is a page without its texts: every element with its attributes, as a browser with or without scripts builds it.
func skeleton(t testing.TB, page []byte, scripting bool) []string {
	t.Helper()
	doc := judge.Value(html.ParseWithOptions(bytes.NewReader(page), html.ParseOptionEnableScripting(scripting)))(t)
	var all []string
	for n := range doc.Descendants() {
		switch n.Type {
		case html.ElementNode:
			if n.Data == "wbr" && len(n.Attr) == 0 {
				continue // where a line may break depends on the text
			}
			all = append(all, fmt.Sprint(n.Parent.Data, ">", n.Data, n.Attr))
		case html.CommentNode:
			all = append(all, "comment")
		case html.TextNode:
			if i := strings.IndexFunc(n.Data, steers); i >= 0 || strings.Contains(n.Data, "\u202e") {
				t.Errorf("%q", n.Data)
			}
		}
	}
	return all
}

// pagesOf are the pages for a browser of two builds that s stands in.
func pagesOf(t testing.TB, s string) [][]byte {
	c, a, b := evilChanges(t, s)
	var report bytes.Buffer
	judge.Must(t, c.WriteHTML(&report, a, b))
	var history bytes.Buffer
	judge.Must(t, diff.WriteHistory(&history, []diff.Build{buildOf(t, s, a), buildOf(t, "x"+s, b), buildOf(t, s+"y", a)}))
	return [][]byte{report.Bytes(), history.Bytes()}
}

// Whatever stands in an archive, the pages for a browser have the very elements and attributes that they have of a harmless
// one, with scripts and without, and their data is JSON.
func TestHTMLHostile(t *testing.T) {
	harmless := pagesOf(t, "EVIL")
	for _, s := range evil {
		for i, page := range pagesOf(t, s) {
			for _, scripting := range []bool{true, false} {
				if d := cmp.Diff(skeleton(t, harmless[i], scripting), skeleton(t, page, scripting)); d != "" {
					t.Fatalf("%q: page %d, scripts %v (-harmless +hostile):\n%.3000s", s, i, scripting, d)
				}
			}
			_, text, _ := strings.Cut(string(page), `<script type="application/json" id="data">`)
			if text, _, _ = strings.Cut(text, "</script>"); !json.Valid([]byte(text)) {
				t.Errorf("%q: the page's data is no JSON", s)
			}
			if n := strings.Count(string(page), "EVIL"); n < 10 {
				t.Errorf("%q: named %d times only: the test has gone blind", s, n)
			}
		}
	}
	if cmp.Equal(skeleton(t, harmless[0], false), skeleton(t, bytes.Replace(harmless[0], []byte("EVIL <span"), []byte("<i>EVIL <span"), 1), false)) {
		t.Error("the judge sees nothing")
	}
}

// No report steers a terminal.
func TestTextHostile(t *testing.T) {
	for _, s := range evil {
		c, _, _ := evilChanges(t, s)
		var b bytes.Buffer
		judge.Must(t, c.WriteText(&b, false))
		if i := strings.IndexFunc(b.String(), func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 }); i >= 0 {
			t.Errorf("%q: %q", s, b.String()[i:min(b.Len(), i+20)])
		}
	}
}
