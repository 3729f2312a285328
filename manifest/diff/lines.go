package diff

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// keyName is what a key, or a way in without one, is called; keyLine is which it is.
func keyName(role string, k manifest.Key) string {
	if k.Bits == 0 {
		return "way in"
	}
	return role + " key"
}

func keyLine(k manifest.Key) string {
	if k.Bits == 0 {
		return k.Path + ": " + k.Comment
	}
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

// headLine is what differs of the whole: "+ host key  256 ssh-ed25519 ...".
type headLine struct {
	Kind        Kind
	Name, Value string
}

// Sign is a character for what became of it.
func (l headLine) Sign() string { return kindMarks[l.Kind].sign }

// headLines is what differs beside entries.
func (c *Changes) headLines() []headLine {
	var list []headLine
	for i := range c.Kernels {
		list = append(list, headLine{Changed, "kernel", c.Kernels[i].kernelLine()})
	}
	for _, f := range c.Facts {
		was, is := strings.Fields(f.Old), strings.Fields(f.New)
		if n := len(c.Kernels); f.Name == "kernels" && n > 0 && len(withoutThose(was, is)) == n && len(withoutThose(is, was)) == n {
			continue // each has its own line already
		}
		old, now := f.sides()
		list = append(list, headLine{Changed, f.Name, old + " -> " + now})
	}
	return append(list, c.partLines()...)
}

// partLines is what came, went or changed of keys, patches, segments and modules.
func (c *Changes) partLines() []headLine {
	var list []headLine
	for _, k := range c.Keys {
		list = append(list, headLine{k.Kind, keyName(k.Role, k.Key), keyLine(k.Key)})
	}
	for _, p := range c.Patches {
		list = append(list, headLine{p.Kind, "patch", patchLine(p)})
	}
	for _, s := range c.Segments {
		list = append(list, headLine{s.Kind, fmt.Sprintf("segment %d", s.Index), segmentLine(s)})
	}
	for _, kind := range []Kind{Added, Removed} {
		if names := c.moduleNames(kind); len(names) > 0 {
			list = append(list, headLine{kind, "modules", someOf(names, 12, " ")})
		}
	}
	return list
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

// fewAside is how many entries are listed that the kernel does not end up with: an appended segment hides every entry that it has another copy of.
const fewAside = 3

// sides is the two values as a person reads them. Where they are lists of entries that the kernel does not end up with, each side
// shows a few of the entries that the other one lacks.
func (f Fact) sides() (old, now string) {
	if f.Name != factShadowed && f.Name != factIgnored {
		return show.OrNone(f.Old), show.OrNone(f.New)
	}
	was, is := asideEntries(f.Old), asideEntries(f.New)
	only, fresh := withoutThose(was, is), withoutThose(is, was)
	if len(only)+len(fresh) == 0 { // the same ones, another number of times
		return show.Count(len(was), "entry"), show.Count(len(is), "entry")
	}
	return show.OrNone(someOf(only, fewAside, asideBetween)), show.OrNone(someOf(fresh, fewAside, asideBetween))
}

func asideEntries(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, asideBetween)
}

// someOf lists up to n names, with what is between them, and says how many more there are.
func someOf(names []string, n int, between string) string {
	if len(names) <= n {
		return strings.Join(names, between)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], between), len(names)-n)
}

// fewNames is how many names of one inode are listed; busybox has 256.
const fewNames = 3

// shortenedLines yields a line for each change; many names of one hard-linked file
// that came or went together are one line, with the first of them.
func shortenedLines(changes []Change) iter.Seq2[string, *Change] {
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
			g, line := of(ch), ch.changeLine()
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

// changeLine is a change on one line.
func (c *Change) changeLine() string {
	where := c.Path
	if from := c.cameFrom(); from != "" {
		where = from + " -> " + c.Path
	}
	return strings.TrimRight(c.Mark()+" "+where+"  "+c.Details(), " ")
}

// cameFrom is where a change came from, if that is news: not if the release of a kernel is all that differs in the path, or how a
// module is compressed.
func (c *Change) cameFrom() string {
	old, now := strings.Split(c.From, "/"), strings.Split(c.Path, "/")
	if !slices.Contains(c.Noise, NoiseKernel) || len(old) != len(now) {
		return c.From
	}
	differ := 0
	module := func(name string) string { return moduleOf(&manifest.Entry{Type: manifest.File, Path: name}) }
	for i := range old {
		if old[i] != now[i] && !(i == len(old)-1 && module(c.Path) != "" && module(c.From) == module(c.Path)) {
			differ++
		}
	}
	if differ > 1 {
		return c.From
	}
	return ""
}
