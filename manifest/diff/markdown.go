package diff

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"strings"

	"groundhog/initrd/show"
)

// maxMarkdown is how many bytes a report for a merge request may have; forges
// refuse more (GitHub 65,536 characters, GitLab a million). What does not fit is
// left out and counted.
const maxMarkdown = 60000

// WriteMarkdown writes the changes for a merge request: what tripped first, a
// table of packages, and the entries of each, folded. It is at most 60,000
// bytes long. Whatever comes from an archive or a manifest stands in code, where
// a forge makes no link, no mention, no picture and no markup of it.
func (c *Changes) WriteMarkdown(w io.Writer) error {
	out := bufio.NewWriter(w)
	m := &markdownReport{left: maxMarkdown}
	m.writeHead(c)
	m.writeTable(c)
	for i := range c.Packages {
		m.writeDetails(&c.Packages[i])
	}
	if m.missing > 0 {
		m.left = 200
		m.addPart(fmt.Sprintf("\n%s left out: the report would be too long for a comment.\n", show.Count(m.missing, "part")))
	}
	out.WriteString(m.b.String())
	return out.Flush()
}

type markdownReport struct {
	b       strings.Builder
	left    int
	missing int // parts that did not fit
}

// addPart writes a part whole or not at all.
func (m *markdownReport) addPart(part string) {
	if len(part) > m.left {
		m.missing++
		return
	}
	m.left -= len(part)
	m.b.WriteString(part)
}

func (m *markdownReport) writeHead(c *Changes) {
	title := "### Initramfs: changed\n\n"
	if c.Same {
		title = "### Initramfs: no difference\n\n"
	}
	m.addPart(title)
	for _, t := range c.Tripped {
		m.addPart(fmt.Sprintf("- :no_entry: **%s** %s: %s\n", escapeMarkdown(t.Rule), codeSpan(t.Where), codeSpan(t.What)))
	}
	if len(c.Tripped) > 0 {
		m.addPart("\n")
	}
	m.addPart(escapeMarkdown(c.TotalLine()) + "\n\n")
	if own := c.OwnLine(); own != "" {
		m.addPart("Of the growth: " + codeSpan(own) + "\n\n")
	}
	if f := c.FoldedLine(); f != "" {
		m.addPart("Folded: " + escapeMarkdown(f) + "\n\n")
	}
	if u := c.UnreadLine(); u != "" {
		m.addPart("Not compared: " + escapeMarkdown(u) + "\n\n")
	}
	for i := range c.Kernels {
		m.addPart("- kernel " + codeSpan(c.Kernels[i].kernelLine()) + "\n")
	}
	for _, f := range c.Facts {
		old, now := f.sides()
		m.addPart(fmt.Sprintf("- %s: %s → %s\n", f.Name, codeSpan(old), codeSpan(now)))
	}
	for _, l := range c.partLines() {
		m.addPart(fmt.Sprintf("- %s %s: %s\n", l.Name, l.Kind, codeSpan(l.Value)))
	}
}

func (m *markdownReport) writeTable(c *Changes) {
	if len(c.Packages) == 0 {
		return
	}
	m.addPart("\n| package | files | growth |\n|---|---:|---:|\n")
	for i := range c.Packages {
		g := &c.Packages[i]
		m.addPart(fmt.Sprintf("| %s | %d | %s |\n", codeSpan(g.Title()), g.Files, show.Growth(g.Growth)))
	}
}

func (m *markdownReport) writeDetails(g *Group) {
	if len(g.Entries) == 0 {
		return
	}
	var b strings.Builder
	// Up to the blank line this is a block of HTML: Markdown's backslashes escape nothing there.
	fmt.Fprintf(&b, "\n<details><summary><code>%s</code>: %s</summary>\n\n",
		html.EscapeString(show.Printable(g.Title())), html.EscapeString(g.Summary()))
	var body strings.Builder
	for line, ch := range shortenedLines(g.Entries) {
		body.WriteString(show.Printable(line) + "\n" + ch.Text)
	}
	fence := strings.Repeat("`", max(3, longestTicks(body.String())+1))
	fmt.Fprintf(&b, "%sdiff\n%s%s\n</details>\n", fence, body.String(), fence)
	m.addPart(b.String())
}

// escapeMarkdown makes a text mean nothing but itself in Markdown.
func escapeMarkdown(s string) string {
	var b strings.Builder
	for _, r := range show.Printable(s) {
		if strings.ContainsRune("\\`*_[]<>#!|~&@", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// codeSpan sets a text in code: between runs of backticks that are longer than any
// in it. A bar would end a table's cell there, too.
func codeSpan(s string) string {
	s = strings.ReplaceAll(show.Printable(s), "|", "\u2502")
	n := longestTicks(s)
	if n == 0 && strings.TrimSpace(s) != "" {
		return "`" + s + "`"
	}
	ticks := strings.Repeat("`", n+1)
	return ticks + " " + s + " " + ticks
}

// longestTicks is the length of the longest run of backticks in s.
func longestTicks(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
