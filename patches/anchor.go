package patches

import (
	"bytes"
	"errors"
	"fmt"
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

// onlyLine is the index of the one line that equals want.
func onlyLine(lines []string, want string) (int, error) {
	at, n := -1, 0
	for i, l := range lines {
		if strings.TrimSuffix(l, "\n") == want {
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
		if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
			text = append(slices.Clip(text), '\n')
		}
		return append(slices.Clip(text), line+"\n"...), nil
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
