package manifest

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"iter"
	"strings"
)

// WriteJSON writes the changes as JSON, as our manifests are written.
func (c *Changes) WriteJSON(w io.Writer) error { return writeJSON(w, c) }

// WriteText writes the changes for a terminal, in colour if color is set: facts
// first, then what changed by package, the largest growth first, then totals.
// What could steer a terminal is written as escapes.
func (c *Changes) WriteText(w io.Writer, color bool) error {
	t := &textReport{w: bufio.NewWriter(w), color: color}
	t.head(c)
	for i := range c.Packages {
		t.group(&c.Packages[i])
	}
	t.total(c)
	for _, trip := range c.Tripped {
		t.line(red, "tripped %s: %s: %s", trip.Rule, trip.Where, trip.What)
	}
	return t.w.Flush()
}

// The colours, ECMA-48 "select graphic rendition".
const (
	bold  = "1"
	red   = "31"
	green = "32"
	cyan  = "36"
	dim   = "2"
)

type textReport struct {
	w     *bufio.Writer
	color bool
}

func (t *textReport) line(style, format string, args ...any) {
	text := Printable(fmt.Sprintf(format, args...))
	if t.color && style != "" {
		text = "\x1b[" + style + "m" + text + "\x1b[0m"
	}
	t.w.WriteString(text + "\n")
}

// marks is the letter and colour of what came or went.
var marks = map[Kind]struct{ sign, style string }{
	Added: {"+", green}, Removed: {"-", red}, Changed: {"~", cyan}, Moved: {"~", cyan}}

func (t *textReport) head(c *Changes) {
	for _, f := range c.Facts {
		t.line(cyan, "~ %-12s %s -> %s", f.Name, orNone(f.Old), orNone(f.New))
	}
	for _, k := range c.Keys {
		m := marks[k.Kind]
		t.line(m.style, "%s %-12s %s", m.sign, k.Role+" key", keyLine(k.Key))
	}
	for _, p := range c.Patches {
		m := marks[p.Kind]
		t.line(m.style, "%s %-12s %s", m.sign, "patch", patchLine(p))
	}
	for _, s := range c.Segments {
		m := marks[s.Kind]
		t.line(m.style, "%s %-12s %s", m.sign, fmt.Sprintf("segment %d", s.Index), segmentLine(s))
	}
	for _, kind := range []Kind{Added, Removed} {
		if names := c.moduleNames(kind); len(names) > 0 {
			t.line(marks[kind].style, "%s %-12s %s", marks[kind].sign, "modules", someOf(names, 12))
		}
	}
}

func keyLine(k Key) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s %s", k.Bits, k.Type, k.Fingerprint, k.Comment))
}

func patchLine(p PatchChange) string {
	switch {
	case p.Kind == Changed && p.Old != p.New:
		return fmt.Sprintf("%s: %s -> %s", p.Name, p.Old, p.New)
	case p.Kind == Changed:
		return p.Name + ": other paths"
	}
	return strings.TrimSuffix(p.Name+": "+p.Old+p.New, ": ")
}

func segmentLine(s SegmentChange) string {
	one := func(s *Segment) string { return fmt.Sprintf("%s, %s", s.Compression, plural(s.Entries, "record")) }
	switch s.Kind {
	case Added:
		return one(s.New)
	case Removed:
		return one(s.Old)
	}
	return s.Old.Compression + " -> " + s.New.Compression
}

func (c *Changes) moduleNames(kind Kind) []string {
	var names []string
	for _, m := range c.Modules {
		if m.Kind == kind {
			names = append(names, m.Name)
		}
	}
	return names
}

// someOf lists up to n names and says how many more there are.
func someOf(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], " "), len(names)-n)
}

func (t *textReport) group(g *Group) {
	t.line(bold, "%s: %s", g.Title(), g.Summary())
	for line, ch := range shortened(g.Entries) {
		style := marks[ch.Kind].style
		if ch.Mark() == "." {
			style = dim
		}
		t.line(style, "  %s", line)
		for l := range strings.Lines(ch.Text) {
			t.line(lineStyle(l), "    %s", strings.TrimSuffix(l, "\n"))
		}
	}
}

// fewNames is how many names of one inode are listed; busybox has 256.
const fewNames = 3

// shortened yields a line for each change; many names of one hard-linked file
// that came or went together are one line, with the first of them.
func shortened(changes []Change) iter.Seq2[string, *Change] {
	type group struct {
		kind  Kind
		first string
	}
	of := func(ch *Change) group {
		if e := cmp.Or(ch.New, ch.Old); ch.Kind == Added || ch.Kind == Removed {
			return group{ch.Kind, e.LinkOf}
		}
		return group{}
	}
	count := map[group]int{}
	for i := range changes {
		count[of(&changes[i])]++
	}
	return func(yield func(string, *Change) bool) {
		said := map[group]bool{}
		for i := range changes {
			ch := &changes[i]
			g, line := of(ch), ch.line()
			if g.first != "" && count[g] > fewNames {
				line = fmt.Sprintf("%s %d further names of %s", ch.Mark(), count[g], g.first)
			}
			if g.first != "" && count[g] > fewNames && said[g] {
				continue
			}
			said[g] = true
			if !yield(line, ch) {
				return
			}
		}
	}
}

// line is a change on one line.
func (c *Change) line() string {
	where := c.Path
	if c.From != "" {
		where = c.From + " -> " + c.Path
	}
	return strings.TrimRight(c.Mark()+" "+where+"  "+c.Details(), " ")
}

// lineStyle colours a line of a unified diff.
func lineStyle(l string) string {
	switch l[0] {
	case '+':
		return green
	case '-':
		return red
	case '@':
		return cyan
	}
	return ""
}

func (t *textReport) total(c *Changes) {
	if c.Same {
		t.line("", "no difference")
	} else {
		t.line(bold, "total: %s", c.TotalLine())
	}
	if f := c.FoldedLine(); f != "" {
		t.line(dim, "folded: %s", f)
	}
}

// TotalLine is all counts and sizes in a line.
func (c *Changes) TotalLine() string {
	s := fmt.Sprintf("%d added, %d removed, %d changed, %d moved; content %s -> %s (%s)", c.Total.Added, c.Total.Removed,
		c.Total.Changed, c.Total.Moved, Bytes(c.Old.Content), Bytes(c.New.Content), growth(c.Old.Content, c.New.Content))
	if c.Old.Size > 0 && c.New.Size > 0 {
		s += fmt.Sprintf("; file %s -> %s (%s)", Bytes(c.Old.Size), Bytes(c.New.Size), growth(c.Old.Size, c.New.Size))
	}
	return s
}

// FoldedLine is what was folded, in a line; "" if nothing was.
func (c *Changes) FoldedLine() string {
	var parts []string
	for _, f := range c.Folded {
		parts = append(parts, fmt.Sprintf("%s of %s", f.Noise, plural(f.Count, "entry")))
	}
	return strings.ReplaceAll(strings.Join(parts, ", "), "entrys", "entries")
}
