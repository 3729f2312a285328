package manifest

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// maxMarkdown is how many bytes a report for a merge request may have; forges
// refuse more (GitHub 65,536 characters, GitLab a million). What does not fit is
// left out and counted.
const maxMarkdown = 60000

// WriteMarkdown writes the changes for a merge request: what tripped first, a
// table of packages, and the entries of each, folded. It is at most 60,000
// bytes long.
func (c *Changes) WriteMarkdown(w io.Writer) error {
	out := bufio.NewWriter(w)
	m := &markdown{left: maxMarkdown}
	m.head(c)
	m.table(c)
	for i := range c.Packages {
		m.details(&c.Packages[i])
	}
	if m.missing > 0 {
		m.left = 200
		m.add(fmt.Sprintf("\n%s left out: the report would be too long for a comment.\n", plural(m.missing, "part")))
	}
	out.WriteString(m.b.String())
	return out.Flush()
}

type markdown struct {
	b       strings.Builder
	left    int
	missing int // parts that did not fit
}

// add writes a part whole or not at all.
func (m *markdown) add(part string) bool {
	if len(part) > m.left {
		m.missing++
		return false
	}
	m.left -= len(part)
	m.b.WriteString(part)
	return true
}

func (m *markdown) head(c *Changes) {
	title := "### Initramfs: changed\n\n"
	if c.Same {
		title = "### Initramfs: no difference\n\n"
	}
	m.add(title)
	for _, t := range c.Tripped {
		m.add(fmt.Sprintf("- :no_entry: **%s** %s: %s\n", t.Rule, code(t.Where), escape(t.What)))
	}
	if len(c.Tripped) > 0 {
		m.add("\n")
	}
	m.add(escape(c.TotalLine()) + "\n\n")
	if f := c.FoldedLine(); f != "" {
		m.add("Folded: " + escape(f) + "\n\n")
	}
	for _, f := range c.Facts {
		m.add(fmt.Sprintf("- %s: %s → %s\n", f.Name, code(orNone(f.Old)), code(orNone(f.New))))
	}
	for _, k := range c.Keys {
		m.add(fmt.Sprintf("- %s key %s: %s\n", k.Role, k.Kind, code(keyLine(k.Key))))
	}
	for _, p := range c.Patches {
		m.add(fmt.Sprintf("- patch %s: %s\n", p.Kind, escape(patchLine(p))))
	}
	for _, s := range c.Segments {
		m.add(fmt.Sprintf("- segment %d %s: %s\n", s.Index, s.Kind, escape(segmentLine(s))))
	}
	for _, kind := range []Kind{Added, Removed} {
		if names := c.moduleNames(kind); len(names) > 0 {
			m.add(fmt.Sprintf("- modules %s: %s\n", kind, code(someOf(names, 12))))
		}
	}
}

func (m *markdown) table(c *Changes) {
	if len(c.Packages) == 0 {
		return
	}
	m.add("\n| package | files | growth |\n|---|---:|---:|\n")
	for i := range c.Packages {
		g := &c.Packages[i]
		m.add(fmt.Sprintf("| %s | %d | %s |\n", escape(g.Title()), g.Files, Growth(g.Growth)))
	}
}

func (m *markdown) details(g *Group) {
	if len(g.Entries) == 0 {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n<details><summary>%s: %s</summary>\n\n", escape(g.Title()), escape(g.Summary()))
	fence := "```"
	var body strings.Builder
	for line, ch := range shortened(g.Entries) {
		body.WriteString(Printable(line) + "\n" + ch.Text)
	}
	for strings.Contains(body.String(), fence) { // a fence must be longer than any inside
		fence += "`"
	}
	fmt.Fprintf(&b, "%sdiff\n%s%s\n</details>\n", fence, body.String(), fence)
	m.add(b.String())
}

// escape makes a text mean nothing but itself in Markdown.
func escape(s string) string {
	var b strings.Builder
	for _, r := range Printable(s) {
		if strings.ContainsRune("\\`*_[]<>#!|~&@", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code sets a text in code.
func code(s string) string {
	s = strings.ReplaceAll(Printable(s), "|", "\u2502")
	if strings.Contains(s, "`") {
		return "`` " + strings.ReplaceAll(s, "``", "` `") + " ``"
	}
	return "`" + s + "`"
}
