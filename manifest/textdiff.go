package manifest

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"groundhog/initrd"

	"github.com/pmezard/go-difflib/difflib"
)

// Texts beyond these are not shown: comparing takes the product of their lines.
const (
	maxDiffBytes = 256 << 10
	maxDiffLines = 5000
)

// AddText adds a unified diff to each change of a text file, from the archives
// that the two manifests describe. What is binary, larger than 256 KiB, or
// holds a private key is left out.
func (c *Changes) AddText(a, b *initrd.Image) error {
	for _, ch := range c.Each {
		if ch.Kind == Moved && len(ch.Fields) == 0 {
			continue
		}
		old, ok := textOf(a, ch.Old)
		now, also := textOf(b, ch.New)
		if !ok || !also || old == nil && now == nil {
			continue
		}
		d := difflib.UnifiedDiff{A: old, B: now, FromFile: "/dev/null", ToFile: "/dev/null", Context: 3}
		if ch.Old != nil {
			d.FromFile = "a/" + Printable(ch.Old.Path)
		}
		if ch.New != nil {
			d.ToFile = "b/" + Printable(ch.New.Path)
		}
		var err error
		if ch.Text, err = difflib.GetUnifiedDiffString(d); err != nil {
			return err
		}
	}
	return nil
}

// textOf is a file's lines, nil of no entry; not ok if it is no text to show.
func textOf(img *initrd.Image, e *Entry) (lines []string, ok bool) {
	if e == nil {
		return nil, true
	}
	name, err := UnescapePath(e.Path)
	if err != nil || e.Type != File || e.LinkOf != "" {
		return nil, false
	}
	entry := img.Lookup(name)
	if entry == nil || !entry.IsFile() {
		return nil, false
	}
	b := img.Content(entry)
	if len(b) > maxDiffBytes || !isText(b) || bytes.Contains(b, []byte("PRIVATE KEY")) {
		return nil, false
	}
	for l := range strings.Lines(string(b)) {
		line, whole := strings.CutSuffix(l, "\n")
		if line = Printable(line); !whole {
			line += ` \ no newline at the end`
		}
		lines = append(lines, line+"\n")
	}
	return lines, len(lines) <= maxDiffLines
}

// isText reports whether people can read b.
func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f
	})
}
