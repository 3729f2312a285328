package diff

import (
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/show"
	"groundhog/manifest"

	lines "github.com/rogpeppe/go-internal/diff"
)

// maxDiffBytes is the size of a text above which no diff is shown: nobody reads it.
const maxDiffBytes = 256 << 10

// AddText adds a unified diff to each change of a text file, from the archives
// that the two manifests describe. What is binary or larger than 256 KiB is left
// out; of what holds a secret it is said that it does ([manifest.Secret]).
func (c *Changes) AddText(a, b *initrd.Image) error {
	for _, ch := range c.Each {
		if ch.Kind == Moved && len(ch.Fields) == 0 {
			continue
		}
		old, was := textOf(a, ch.Old)
		now, is := textOf(b, ch.New)
		if !was || !is || old == nil && now == nil {
			continue
		}
		if what := secretIn(ch, old, now); what != "" {
			ch.Text = "not shown: it holds " + what + "\n"
			continue
		}
		from, to := "", ch.Path
		if ch.Old != nil {
			from = ch.Old.Path
		}
		if ch.New == nil {
			to = ""
		}
		ch.Text = UnifiedDiff(from, to, old, now)
	}
	return nil
}

// secretIn says what secret either side of a change holds.
func secretIn(ch *Change, old, now []byte) string {
	for _, side := range []struct {
		entry *manifest.Entry
		text  []byte
	}{{ch.Old, old}, {ch.New, now}} {
		if side.entry == nil {
			continue
		}
		if what := manifest.Secret(side.entry.Path, side.text); what != "" {
			return what
		}
	}
	return ""
}

// textOf is a file's content, nil of no entry; not ok if it is nothing to show.
func textOf(img *initrd.Image, e *manifest.Entry) (text []byte, ok bool) {
	if e == nil {
		return nil, true
	}
	name, err := manifest.UnescapePath(e.Path)
	if err != nil || e.Type != manifest.File || e.LinkOf != "" {
		return nil, false
	}
	entry := img.Lookup(name)
	if entry == nil || !entry.IsFile() {
		return nil, false
	}
	b := img.Content(entry)
	if len(b) > maxDiffBytes {
		return nil, false
	}
	return append([]byte{}, b...), true
}

// UnifiedDiff shows what changed in a text as diff -u does, "" if one of the two
// is no text. An empty name is that of a side where there is no file. What could
// steer a terminal is written as escapes. It takes no more than n log n steps,
// whatever the texts: a report must not be stopped by a file that was made for
// that.
func UnifiedDiff(oldName, newName string, before, after []byte) string {
	if !show.IsText(before) || !show.IsText(after) {
		return ""
	}
	from, to := "/dev/null", "/dev/null"
	if oldName != "" {
		from = "a/" + show.Printable(oldName)
	}
	if newName != "" {
		to = "b/" + show.Printable(newName)
	}
	text := string(lines.Diff(from, before, to, after))
	_, text, _ = strings.Cut(text, "\n") // "diff a/name b/name"
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(show.Printable(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return out.String()
}
