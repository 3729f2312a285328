package diff

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// WriteJSON writes the changes as JSON, as our manifests are written.
func (c *Changes) WriteJSON(w io.Writer) error { return manifest.WriteJSON(w, c) }

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
		t.trip(trip)
	}
	return t.w.Flush()
}

func (t *textReport) trip(trip Trip) {
	t.line(red, "tripped %s: %s: %s", trip.Rule, trip.Where, trip.What)
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
	said := show.Printable(fmt.Sprintf(format, args...))
	if t.color && style != "" {
		said = "\x1b[" + style + "m" + said + "\x1b[0m"
	}
	t.w.WriteString(said + "\n")
}

// marks is the letter and colour of what came or went.
var marks = map[Kind]struct{ sign, style string }{
	Added: {"+", green}, Removed: {"-", red}, Changed: {"~", cyan}, Moved: {"~", cyan}}

func (t *textReport) head(c *Changes) {
	for _, l := range c.head() {
		t.line(marks[l.Kind].style, "%s %-12s %s", l.Sign(), l.Name, l.Value)
	}
}

func (t *textReport) group(g *Group) {
	t.line(bold, "%s: %s", g.Title(), g.Summary())
	for line, ch := range shortened(g.Entries) {
		style := marks[ch.Kind].style
		if ch.Mark() == "." {
			style = dim
		}
		t.line(style, "  %s", line)
		t.text(ch)
	}
}

// text writes the lines that differ in a text.
func (t *textReport) text(ch *Change) {
	for l := range strings.Lines(ch.Text) {
		t.line(lineStyle(l), "    %s", strings.TrimSuffix(l, "\n"))
	}
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
	if own := c.OwnLine(); own != "" {
		t.line("", "of the growth: %s", own)
	}
	if f := c.FoldedLine(); f != "" {
		t.line(dim, "folded: %s", f)
	}
}

// TotalLine is all counts and sizes in a line.
func (c *Changes) TotalLine() string {
	s := fmt.Sprintf("%d added, %d removed, %d changed, %d moved; content %s -> %s (%s)", c.Total.Added, c.Total.Removed,
		c.Total.Changed, c.Total.Moved, show.Bytes(c.Old.Content), show.Bytes(c.New.Content), growth(c.Old.Content, c.New.Content))
	if c.Old.Size > 0 && c.New.Size > 0 {
		s += fmt.Sprintf("; file %s -> %s (%s)", show.Bytes(c.Old.Size), show.Bytes(c.New.Size), growth(c.Old.Size, c.New.Size))
	}
	return s
}

// FoldedLine is what was folded, in a line; "" if nothing was.
func (c *Changes) FoldedLine() string {
	var parts []string
	for _, f := range c.Folded {
		parts = append(parts, fmt.Sprintf("%s of %s", f.Noise, show.Count(f.Count, "entry")))
	}
	return strings.Join(parts, ", ")
}
