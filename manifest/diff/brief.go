package diff

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// What a person reads of a report at once.
const (
	screenLines  = 40 // a report of no more lines is shown whole
	briefGroups  = 10
	briefTrips   = 5  // of each rule
	briefNotable = 20 // of each group
)

// WriteBrief writes what a person reads on one screen. That is the text of [Changes.WriteText] where it is short enough; else the packages
// and files that grew or shrank most, with many files of one directory on a line, and how much was left out. Changes of who may do
// what (mode, owner, type, setuid) and the texts of [Changes.AddText] come before sizes.
func (c *Changes) WriteBrief(w io.Writer, color bool) error {
	var whole bytes.Buffer
	if err := c.WriteText(&whole, color); err != nil {
		return err
	}
	if bytes.Count(whole.Bytes(), []byte("\n")) <= screenLines {
		_, err := w.Write(whole.Bytes())
		return err
	}
	t := &textReport{w: bufio.NewWriter(w), color: color}
	t.writeHead(c)
	groups := slices.Clone(c.Packages)
	slices.SortStableFunc(groups, func(x, y Group) int {
		return cmp.Or(cmp.Compare(sizeOf(y.Growth), sizeOf(x.Growth)), cmp.Compare(y.Files, x.Files))
	})
	shown, more := groups, []Group(nil)
	if len(groups) > briefGroups {
		shown, more = groups[:briefGroups], groups[briefGroups:]
	}
	left := false
	for i := range shown {
		lines := 2
		if i < 3 {
			lines = 4
		}
		left = t.briefGroup(&shown[i], lines) || left
	}
	left = t.countOthers(more) || left
	t.writeTotal(c)
	left = t.briefTrips(c.brokenRules()) || left
	if left {
		t.writeLine(styleDim, "all of it: -v, or --html FILE for a browser")
	}
	return t.w.Flush()
}

// briefLine is a change, or many of one kind in one place.
type briefLine struct {
	say     string
	first   *Change
	count   int
	growth  int64
	notable bool // shown whatever its size
}

// briefGroup writes a group in some lines, and reports whether it left any out.
func (t *textReport) briefGroup(g *Group, lines int) (left bool) {
	t.writeLine(styleBold, "%s: %s", g.Title(), g.Summary())
	rest, by := 0, int64(0)
	for i, l := range briefLines(g) {
		if i >= lines && !(l.notable && i < briefNotable) {
			rest, by = rest+l.count, by+l.growth
			continue
		}
		left = left || l.count > 1
		t.writeLine(kindMarks[l.first.Kind].style, "  %s", l.say)
		if l.notable {
			t.writeTextDiff(l.first)
		}
	}
	if rest > 0 {
		t.writeLine(styleDim, "  ... %d more, %s", rest, show.Growth(by))
	}
	return left || rest > 0
}

// briefLines are a group's changes, the notable ones first and then by size; what one place has many of is one of them.
func briefLines(g *Group) []briefLine {
	var lines []briefLine
	alike := map[string][]briefLine{}
	for line, ch := range shortenedLines(g.Entries) {
		e := cmp.Or(ch.New, ch.Old)
		l := briefLine{line, ch, 1, ch.Growth, isNotable(ch)}
		what := ""
		switch {
		case l.notable:
			lines = append(lines, l)
			continue
		case moduleOf(e) != "":
			what = ch.Mark() + " %d modules of the kernel"
		case e.Type == manifest.File:
			what = ch.Mark() + " %d files in " + strings.ReplaceAll(path.Dir(ch.Path), "%", "%%")
		default:
			what = ch.Mark() + " %d entries in " + strings.ReplaceAll(path.Dir(ch.Path), "%", "%%")
		}
		alike[what] = append(alike[what], l)
	}
	for _, what := range slices.Sorted(maps.Keys(alike)) {
		list := alike[what]
		if len(list) <= fewNames {
			lines = append(lines, list...)
			continue
		}
		all := briefLine{first: list[0].first, count: len(list)}
		for _, l := range list {
			all.growth += l.growth
		}
		all.say = fmt.Sprintf(what+"  %s", len(list), show.Growth(all.growth))
		lines = append(lines, all)
	}
	slices.SortStableFunc(lines, func(x, y briefLine) int {
		if x.notable != y.notable {
			return map[bool]int{true: -1, false: 1}[x.notable]
		}
		return cmp.Compare(sizeOf(y.growth), sizeOf(x.growth))
	})
	return lines
}

// isNotable reports whether a change is one of who may do what, or has a text that was asked for.
func isNotable(ch *Change) bool {
	return ch.Text != "" || gainsPrivilege(nil, ch) != "" || slices.ContainsFunc(ch.Fields, func(f string) bool {
		return f == FieldMode || f == FieldOwner || f == FieldType || f == FieldDevice || f == FieldCapabilities
	})
}

func sizeOf(growth int64) int64 { return max(growth, -growth) }

// countOthers counts the groups that are not shown, and reports whether there are any.
func (t *textReport) countOthers(groups []Group) bool {
	files, by := 0, int64(0)
	for i := range groups {
		files, by = files+groups[i].Files, by+groups[i].Growth
	}
	if len(groups) > 0 {
		t.writeLine(styleBold, "%s more: %s, %s", show.Count(len(groups), "package"), show.Count(files, "file"), show.Growth(by))
	}
	return len(groups) > 0
}

// briefTrips writes the first places where each rule is broken, and reports whether it left any out.
func (t *textReport) briefTrips(broken []brokenRule) bool {
	left := false
	for _, b := range broken {
		for _, trip := range b.First {
			t.writeTrip(trip)
		}
		if len(b.Rest) > 0 {
			t.writeLine(styleRed, "tripped %s: %d more", b.Rule, len(b.Rest))
			left = true
		}
	}
	return left
}
