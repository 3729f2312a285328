package initrd

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// oddCase is records of which the kernel makes something else than each by itself says. x is what whoever reads the archive would look at:
// it is as the kernel leaves it, or the archive is refused. TestTreeIsKernels asks a kernel.
type oddCase struct {
	name    string
	entries []Entry
	kernel  string // what x is: its content, or "-" where it is not there; "*" where releases differ
	refused bool
}

func oddCases() []oddCase {
	ugly := func(e Entry, mode uint32) Entry { e.Mode = TypeFile | mode; return e }
	device := func(minor uint32) Entry {
		return Entry{Name: "x", Mode: TypeChar | 0o666, Nlink: 1, Rdev: Device{1, minor}}
	}
	node := func(name string, mode, minor uint32) Entry {
		return Entry{Name: name, Mode: mode, Nlink: 2, Ino: 7, Rdev: Device{1, minor}}
	}
	many := []Entry{file("x", "old"), symlink("l", ".")}
	return []oddCase{
		{"a file's name ends in a slash", []Entry{file("x", "old"), file("x/", "new")}, "old", true},
		{"in a dot", []Entry{file("x", "old"), file("x/.", "new")}, "old", true},
		{"a directory's name does, over a link", []Entry{dir("d"), symlink("l", "d"), dir("l/"), file("l/x", "a"), symlink("x", "d/x")}, "a", true},
		{"a directory that is not there", []Entry{dir("d/."), file("d/x", "new"), symlink("x", "d/x")}, "-", false},
		{"a link through what is not there", []Entry{file("x", "old"), symlink("l", "no/.."), file("l/x", "new")}, "old", true},
		{"a link through a file", []Entry{file("x", "old"), symlink("l", "x/.."), file("l/x", "new")}, "old", true},
		{"a link to a file's dot", []Entry{file("f", "old"), symlink("x", "f/.")}, "-", false},
		{"an empty link", []Entry{file("x", "old"), symlink("l", "\x00"), file("l/x", "new")}, "new", false},
		{"40 links", append(many[:2:2], file(strings.Repeat("l/", 40)+"x", "new")), "new", false},
		{"41 links", append(many[:2:2], file(strings.Repeat("l/", 41)+"x", "new")), "old", true},
		{"a link of many steps", []Entry{dir("d"), file("f", "old"), symlink("x", strings.Repeat("d/../", 40)+"f")}, "old", true},
		{"too long a link", []Entry{file("f", "old"), symlink("x", strings.Repeat("./", 2047)+".f")}, "*", true},
		{"too long a name", []Entry{hardlink(5, 2, "x", "old"), hardlink(5, 2, strings.Repeat("n", 256), "new")}, "old", true},
		{"a long name", []Entry{file("d", ""), file(strings.Repeat("n", 256), "new"), symlink("x", strings.Repeat("n", 256))}, "-", false},
		{"a hard link in no directory", []Entry{hardlink(5, 2, "x", "old"), hardlink(5, 2, "no/y", "new")}, "old", true},
		{"a hard link to itself", []Entry{hardlink(5, 3, "y", "old"), hardlink(5, 3, "x", ""), hardlink(5, 3, "y", "new")}, "old", true},
		{"a hard link to a symlink", []Entry{file("x", "old"), hardlink(5, 2, "a", "a"), symlink("a", "x"), hardlink(5, 2, "b", "new")}, "new", true},
		{"a hard link to what was written over", []Entry{hardlink(5, 2, "x", ""), file("x", "old"), hardlink(5, 2, "b", "new")}, "new", true},
		{"the same by another name", []Entry{hardlink(5, 3, "x", ""), hardlink(5, 3, "b", ""), file("b", "old"), hardlink(5, 3, "c", "new")}, "new", true},
		{"hard links of two modes", []Entry{ugly(hardlink(5, 2, "x", "old"), 0o666), ugly(hardlink(5, 2, "b", ""), 0o600)}, "old 600", true},
		{"a device's number", []Entry{device(3), device(5)}, "1:3", true},
		{"twice the same device", []Entry{device(3), device(3)}, "1:3", false},
		{"a hard link to another device", []Entry{node("y", TypeChar|0o666, 3), node("x", TypeChar|0o666, 5)}, "1:3", true},
		{"to one of another mode", []Entry{node("y", TypePipe|0o600, 0), node("y", TypePipe|0o666, 0)}, "-", true},
		{"to one that is gone", []Entry{node("y", TypeChar|0o666, 3), file("y", ""), node("x", TypeChar|0o666, 3)}, " 644", true},
		{"to the same device", []Entry{node("y", TypeChar|0o666, 3), node("x", TypeChar|0o666, 3)}, "1:3", false},
		{"the same numbers of two types", []Entry{node("y", TypeBlock|0o666, 5), node("x", TypeChar|0o666, 3)}, "1:3", false},
		{"a pipe over a full directory", []Entry{dir("x"), file("x/f", ""), {Name: "x", Mode: TypePipe | 0o777, Nlink: 1}}, "dir 777", true},
		{"a link of somebody else's over one", []Entry{dir("x"), file("x/f", ""), {Name: "x", Mode: TypeLink | 0o777, UID: 7, Nlink: 1, Data: []byte("y")}}, "dir 755", true},
		{"a link over one", []Entry{dir("x"), file("x/f", ""), symlink("x", "y")}, "dir 755", false},
		{"a pipe over an empty one", []Entry{dir("x"), {Name: "x", Mode: TypePipe | 0o777, Nlink: 1}}, "pipe", false},
		{"written over by two names", []Entry{hardlink(5, 2, "x", "old"), hardlink(5, 2, "b", ""), trailer(), file("x", "new"), file("b", "newer")}, "newer", true},
		{"written over, and then replaced", []Entry{hardlink(5, 2, "x", "old"), hardlink(5, 2, "b", ""), trailer(), file("b", "new"), symlink("b", "z")}, "new", true},
		{"written over twice", []Entry{hardlink(5, 2, "x", "old"), hardlink(5, 2, "b", ""), trailer(), file("b", "new"), file("b", "newer")}, "newer", false},
		{"with another mode", []Entry{hardlink(5, 2, "x", "old"), hardlink(5, 2, "b", ""), trailer(), ugly(file("b", "new"), 0o600)}, "new 600", false},
		{"a second group, and over it", []Entry{hardlink(5, 2, "x", "old"), hardlink(5, 2, "b", ""), trailer(), hardlink(5, 2, "b", "new"), hardlink(5, 2, "c", ""),
			trailer(), file("c", "newer")}, "newer", true},
		{"a second group", []Entry{hardlink(5, 2, "x", "old"), hardlink(5, 2, "b", ""), trailer(), hardlink(5, 2, "b", ""), hardlink(5, 2, "c", "new")}, "new", false},
	}
}

func trailer() Entry { return Entry{Name: trailerName, Nlink: 1} }

// runsOf is the records, and what each trailer among them begins.
func runsOf(entries []Entry) []byte {
	var now []Entry
	var b []byte
	for _, e := range append(entries, trailer()) {
		if now = append(now, e); e.IsTrailer() {
			b = append(b, run(now[:len(now)-1]...)...)
			now = nil
		}
	}
	return b
}

func TestOddRecords(t *testing.T) {
	for _, c := range oddCases() {
		img, err := Read(bytes.NewReader(runsOf(c.entries)), Limits{})
		switch {
		case c.refused && !errors.Is(err, ErrFormat):
			t.Errorf("%s: %v, want %v", c.name, err, ErrFormat)
		case !c.refused && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case !c.refused:
			if got := saysOfX(img); !strings.HasPrefix(got, c.kernel) {
				t.Errorf("%s: %q, want %q", c.name, got, c.kernel)
			}
		}
	}
}

// saysOfX is what is at x: content and mode, or a device's number.
func saysOfX(img *Image) string {
	at, ok := img.Resolve("x")
	if !ok {
		return "-"
	}
	e := img.Lookup(at)
	switch e.Type() {
	case TypeDir:
		return fmt.Sprintf("dir %o", e.Perm())
	case TypePipe:
		return "pipe"
	case TypeChar:
		return fmt.Sprintf("%d:%d", e.Rdev.Major, e.Rdev.Minor)
	}
	return fmt.Sprintf("%s %o", img.Content(e), e.Perm())
}

// Symlinks that change make all paths be followed anew: of deep ones there are not as many as fit.
func TestChangingLinks(t *testing.T) {
	deep := strings.TrimSuffix(strings.Repeat("d/", 1000), "/")
	var entries []Entry
	for i := range 1000 {
		entries = append(entries, dir(deep[:2*i+1]))
	}
	for i := range maxChanged + 2 {
		entries = append(entries, symlink(deep+"/l", fmt.Sprint(i)))
	}
	if _, err := New(None, entries...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want %v", err, ErrTooLarge)
	}
}
