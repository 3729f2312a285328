package patches

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"groundhog/patches/undo"
)

// ErrAnchor is wrapped by errors about a text whose anchor is not there
// exactly once.
var ErrAnchor = errors.New("anchor not found exactly once")

// textEdit is a change to a text; it changes nothing where it has been made.
type textEdit = undo.Edit

// lineBefore inserts line before the one line that is anchor, lineAfter behind
// it.
func lineBefore(anchor, line string) textEdit { return insertBesides(anchor, line, 0) }
func lineAfter(anchor, line string) textEdit  { return insertBesides(anchor, line, 1) }

func insertBesides(anchor, line string, behind int) textEdit {
	return func(text []byte) ([]byte, error) {
		lines := strings.SplitAfter(string(text), "\n")
		at, err := onlyLine(lines, anchor)
		if err != nil {
			return nil, err
		}
		at += behind
		there := at - 1 + behind
		if there >= 0 && there < len(lines) && strings.TrimSuffix(lines[there], "\n") == line {
			return text, nil
		}
		if at > 0 && !strings.HasSuffix(lines[at-1], "\n") {
			lines[at-1] += "\n"
		}
		return []byte(strings.Join(slices.Insert(lines, at, line+"\n"), "")), nil
	}
}

// onlyLine is the index of the one line that equals want, onlyMatch that of the one that matches.
func onlyLine(lines []string, want string) (int, error) {
	return onlyFitting(lines, want, func(line string) bool { return line == want })
}

func onlyMatch(lines []string, re *regexp.Regexp) (int, error) {
	return onlyFitting(lines, re.String(), re.MatchString)
}

func onlyFitting(lines []string, want string, fits func(line string) bool) (int, error) {
	at, n := -1, 0
	for i, l := range lines {
		if fits(strings.TrimSuffix(l, "\n")) {
			at = i
			n++
		}
	}
	if n != 1 {
		return 0, fmt.Errorf("%w: line %q is there %d times", ErrAnchor, want, n)
	}
	return at, nil
}

// hasLine changes nothing where the one line is.
func hasLine(line string) textEdit {
	return func(text []byte) ([]byte, error) {
		_, err := onlyLine(strings.SplitAfter(string(text), "\n"), line)
		return text, err
	}
}

// withLine appends line unless the text has it.
func withLine(line string) textEdit {
	return func(text []byte) ([]byte, error) {
		if slices.Contains(strings.Split(string(text), "\n"), line) {
			return text, nil
		}
		return slices.Concat(endLine(text), []byte(line+"\n")), nil
	}
}

// endLine ends a text's last line, if there is one.
func endLine(text []byte) []byte {
	if len(text) == 0 || bytes.HasSuffix(text, []byte("\n")) {
		return text
	}
	return append(slices.Clip(text), '\n')
}

// withoutLines takes the lines out that equal one of these.
func withoutLines(out ...string) textEdit {
	return func(text []byte) ([]byte, error) {
		var b strings.Builder
		for l := range strings.Lines(string(text)) {
			if !slices.Contains(out, strings.TrimSuffix(l, "\n")) {
				b.WriteString(l)
			}
		}
		return []byte(b.String()), nil
	}
}

// allEdits makes several edits one.
func allEdits(edits ...textEdit) textEdit {
	return func(text []byte) ([]byte, error) {
		for _, e := range edits {
			var err error
			if text, err = e(text); err != nil {
				return nil, err
			}
		}
		return text, nil
	}
}
