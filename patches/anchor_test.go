package patches

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/tiny"
	"groundhog/patches/scripts"
)

func TestAnchors(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		edit             textEdit
	}{
		{"before", "a\nb\n", "x\na\nb\n", lineBefore("a", "x")},
		{"after", "a\nb\n", "a\nx\nb\n", lineAfter("a", "x")},
		{"after the last", "a\nb\n", "a\nb\nx\n", lineAfter("b", "x")},
		{"after a line without its newline", "a\nb", "a\nb\nx\n", lineAfter("b", "x")},
		{"before a line without its newline", "a\nb", "a\nx\nb", lineBefore("b", "x")},
		{"a part of a line is no anchor", "aa\na\n a\n", "aa\nx\na\n a\n", lineBefore("a", "x")},
		{"there, without its newline", "a\nx", "a\nx", lineAfter("a", "x")},
		{"there, but elsewhere", "x\nb\na\n", "x\nb\nx\na\n", lineBefore("a", "x")},
		{"a line that must be there", "a\nb", "a\nb", hasLine("b")},
		{"line", "a", "a\nx\n", withLine("x")},
		{"line of an empty text", "", "x\n", withLine("x")},
		{"line that is there", "x\na\n", "x\na\n", withLine("x")},
	} {
		before := []byte(c.text)
		got, err := c.edit(before)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
		if string(before) != c.text {
			t.Errorf("%s: it wrote into its input: %q", c.name, before)
		}
	}
	for _, e := range []textEdit{lineBefore("a", "x"), lineAfter("a", "x"), hasLine("a")} {
		for _, text := range []string{"", "b\n", "a\na\n", "a=1\na=2\n", " a=1\n"} {
			if got, err := e([]byte(text)); !errors.Is(err, ErrAnchor) {
				t.Errorf("%q: %q, %v", text, got, err)
			}
		}
	}
}

// A script without an anchor, or with two, is refused with its name, the
// release and the anchor.
func TestAnchorRefused(t *testing.T) {
	for _, c := range []struct{ file, anchor string }{
		{"scripts/init-premount/dropbear", startLine},
		{"scripts/init-premount/dropbear", pidLine},
	} {
		for _, release := range releases {
			for _, n := range []string{"0", "2"} {
				tgt := tiny.New(release, true)
				f := *tgt.Archive[c.file]
				with := ""
				if n == "2" {
					with = c.anchor + "\n" + c.anchor
				}
				f.Data = bytes.Replace(f.Data, []byte(c.anchor), []byte(with), 1)
				tgt.Archive[c.file] = &f
				err := refused(t, tgt, nil)
				for _, want := range []string{c.file, release, c.anchor, n + " times"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s, %s: no %q in %q", release, c.file, want, err)
					}
				}
				if !errors.Is(err, ErrAnchor) {
					t.Errorf("%s, %s: no ErrAnchor: %v", release, c.file, err)
				}
			}
		}
	}
}

func TestScriptState(t *testing.T) {
	pristine := tiny.Premount("config")
	patched := strings.Replace(pristine, startLine, scripts.NetworkLine+"\n"+startLine, 1)
	before := patched + scripts.OldHoldLine + "\n"                            // up to 0.3
	now := strings.Replace(patched, nfsLine, scripts.NFSLine+"\n"+nfsLine, 1) // since 0.6
	for text, want := range map[string]PremountState{
		pristine: Pristine,
		now:      Patched,
		patched:  Patched,
		before:   Patched,
		"":       Unknown,
		strings.Replace(pristine, pidLine, "", 1):                Unknown,
		strings.Replace(before, scripts.NetworkLine+"\n", "", 1): Unknown,
		scripts.OldHoldLine + "\n" + patched:                     Unknown,
		pristine + startLine + "\n":                              Unknown,
	} {
		if got := ScriptState([]byte(text)); got != want {
			t.Errorf("%s, want %s:\n%s", got, want, text)
		}
	}
}

// FuzzAnchors: an edit is made once, loses no line and brings its own only.
func FuzzAnchors(f *testing.F) {
	f.Add("a\nb\n", "a", "x")
	f.Add("run &\necho $!", "echo $!", ". /x")
	f.Add("A=1\n\nB=\n", "A", "2")
	f.Add("a\r\na", "a", "a=")
	f.Fuzz(func(t *testing.T, text, anchor, line string) {
		if anchor == "" || anchor == line || strings.Contains(anchor+line, "\n") {
			return // callers give lines, and other lines than they look for
		}
		for _, e := range []textEdit{lineBefore(anchor, line), lineAfter(anchor, line), withLine(line)} {
			checkEdit(t, e, text, line)
		}
	})
}

func checkEdit(t *testing.T, e textEdit, text, line string) {
	t.Helper()
	once, err := e([]byte(text))
	if err != nil {
		return
	}
	twice, err := e(once)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("again: %q, %v; want %q", twice, err, once)
	}
	if string(once) == text {
		return
	}
	old := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	now := strings.Split(strings.TrimSuffix(string(once), "\n"), "\n")
	if text == "" {
		old = nil
	}
	for i, l := range now {
		if l == line && slices.Equal(slices.Concat(now[:i], now[i+1:]), old) {
			return
		}
	}
	t.Fatalf("%q and the line %q became %q", text, line, once)
}
