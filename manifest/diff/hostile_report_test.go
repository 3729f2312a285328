package diff_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"groundhog/manifest"
	"groundhog/manifest/diff"

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
		return manifest.Entry{Path: path, Type: manifest.File, Mode: mode, Size: 1, SHA256: sum, Target: s, Origin: o}
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
	if err := md.Convert(report, &page); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(&page)
	if err != nil {
		t.Fatal(err)
	}
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
		if err := c.WriteMarkdown(&b); err != nil {
			t.Fatal(err)
		}
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

// The page for a browser is our elements only, as a browser parses it, and its
// data is what was meant.
func TestHTMLHostile(t *testing.T) {
	for _, s := range evil {
		c, a, b := evilChanges(t, s)
		var out bytes.Buffer
		if err := c.WriteHTML(&out, a, b); err != nil {
			t.Fatal(err)
		}
		doc, err := html.Parse(&out)
		if err != nil {
			t.Fatal(err)
		}
		allowed := []string{"html", "head", "meta", "title", "style", "body", "header", "h1", "p", "b", "ul", "li", "section", "h2",
			"button", "span", "div", "input", "table", "thead", "tbody", "tr", "th", "script"}
		attributes := []string{"lang", "charset", "http-equiv", "content", "name", "class", "id", "type", "hidden", "placeholder",
			"aria-label", "data-by"}
		live := liveIn(doc, allowed, attributes, []string{"title", "h1", "p", "li", "script"})
		live = slices.DeleteFunc(live, func(l string) bool { return slices.Contains([]string{"<b>", "<span>", "<input>"}, l) })
		if len(live) > 0 {
			t.Errorf("%q: live: %q", s, live[:min(len(live), 6)])
		}
		scripts := 0
		for n := range doc.Descendants() {
			if n.Data != "script" || n.Type != html.ElementNode {
				continue
			}
			if scripts++; scripts == 1 && !json.Valid([]byte(n.FirstChild.Data)) {
				t.Errorf("%q: the page's data is no JSON", s)
			}
		}
		if scripts != 2 {
			t.Errorf("%q: %d scripts", s, scripts)
		}
	}
}

// No report steers a terminal.
func TestTextHostile(t *testing.T) {
	for _, s := range evil {
		c, _, _ := evilChanges(t, s)
		var b bytes.Buffer
		if err := c.WriteText(&b, false); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(b.String(), func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 }); i >= 0 {
			t.Errorf("%q: %q", s, b.String()[i:min(b.Len(), i+20)])
		}
	}
}
