package diff

import (
	"cmp"
	"fmt"
	"iter"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

func keyLine(k manifest.Key) string {
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
	one := func(s *manifest.Segment) string {
		return fmt.Sprintf("%s, %s", s.Compression, show.Count(s.Entries, "record"))
	}
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
