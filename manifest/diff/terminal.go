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
	t.writeHead(c)
	for i := range c.Packages {
		t.writeGroup(&c.Packages[i])
	}
	t.writeTotal(c)
	for _, trip := range c.Tripped {
		t.writeTrip(trip)
	}
	return t.w.Flush()
}

func (t *textReport) writeTrip(trip Trip) {
	t.writeLine(styleRed, "tripped %s: %s: %s", trip.Rule, trip.Where, trip.What)
}

// The colours, ECMA-48 "select graphic rendition".
const (
	styleBold  = "1"
	styleRed   = "31"
	styleGreen = "32"
	styleCyan  = "36"
	styleDim   = "2"
)

type textReport struct {
	w     *bufio.Writer
	color bool
}

func (t *textReport) writeLine(style, format string, args ...any) {
	said := show.Printable(fmt.Sprintf(format, args...))
	if t.color && style != "" {
		said = "\x1b[" + style + "m" + said + "\x1b[0m"
	}
	t.w.WriteString(said + "\n")
}

// kindMarks is the letter and colour of what came or went.
var kindMarks = map[Kind]struct{ sign, style string }{
	Added: {"+", styleGreen}, Removed: {"-", styleRed}, Changed: {"~", styleCyan}, Moved: {"~", styleCyan}}

func (t *textReport) writeHead(c *Changes) {
	for _, l := range c.headLines() {
		t.writeLine(kindMarks[l.Kind].style, "%s %-12s %s", l.Sign(), l.Name, l.Value)
	}
}

func (t *textReport) writeGroup(g *Group) {
	t.writeLine(styleBold, "%s: %s", g.Title(), g.Summary())
	for line, ch := range shortenedLines(g.Entries) {
		style := kindMarks[ch.Kind].style
		if ch.Mark() == "." {
			style = styleDim
		}
		t.writeLine(style, "  %s", line)
		t.writeTextDiff(ch)
	}
}

// writeTextDiff writes the lines that differ in a text.
func (t *textReport) writeTextDiff(ch *Change) {
	for l := range strings.Lines(ch.Text) {
		t.writeLine(lineStyle(l), "    %s", strings.TrimSuffix(l, "\n"))
	}
}

// lineStyle colours a line of a unified diff.
func lineStyle(l string) string {
	switch l[0] {
	case '+':
		return styleGreen
	case '-':
		return styleRed
	case '@':
		return styleCyan
	}
	return ""
}

func (t *textReport) writeTotal(c *Changes) {
	if c.Same {
		t.writeLine("", "no difference")
	} else {
		t.writeLine(styleBold, "total: %s", c.TotalLine())
	}
	if own := c.OwnLine(); own != "" {
		t.writeLine("", "of the growth: %s", own)
	}
	if f := c.FoldedLine(); f != "" {
		t.writeLine(styleDim, "folded: %s", f)
	}
	if u := c.UnreadLine(); u != "" {
		t.writeLine(styleDim, "not compared: %s", u)
	}
}

// TotalLine is all counts and sizes in a line.
func (c *Changes) TotalLine() string {
	s := fmt.Sprintf("%d added, %d removed, %d changed, %d moved; content %s -> %s (%s)", c.Total.Added, c.Total.Removed,
		c.Total.Changed, c.Total.Moved, show.Bytes(c.Old.Content), show.Bytes(c.New.Content), growthText(c.Old.Content, c.New.Content))
	if c.Old.Size > 0 && c.New.Size > 0 {
		s += fmt.Sprintf("; file %s -> %s (%s)", show.Bytes(c.Old.Size), show.Bytes(c.New.Size), growthText(c.Old.Size, c.New.Size))
	}
	return s
}

// UnreadLine is what was not compared because a manifest does not tell it, in a line; "" if there is no such thing.
func (c *Changes) UnreadLine() string {
	which := "both manifests are"
	switch {
	case c.Old.Capabilities && c.New.Capabilities:
		return ""
	case c.New.Capabilities:
		which = "the old manifest is"
	case c.Old.Capabilities:
		which = "the new manifest is"
	}
	return "file capabilities: " + which + " of a groundhog that did not read them"
}

// FoldedLine is what was folded, in a line; "" if nothing was.
func (c *Changes) FoldedLine() string {
	var parts []string
	for _, f := range c.Folded {
		parts = append(parts, fmt.Sprintf("%s of %s", f.Noise, show.Count(f.Count, "entry")))
	}
	return strings.Join(parts, ", ")
}
