package patches

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"groundhog/patches/scripts"
)

// confPath is the settings that groundhog's scripts read, one NAME=value a
// line. Values are words of the characters in confValue, so nothing in them
// can mean more than itself.
const confPath = scripts.Conf

var confValue = regexp.MustCompile(`^[A-Za-z0-9_.:-]*$`)

// setSetting makes NAME=value the one line for NAME in the settings.
func (t *Archive) setSetting(name, value string) error {
	return t.editGenerated(confPath, withSetting(name, value))
}

func withSetting(name, value string) textEdit {
	return func(text []byte) ([]byte, error) {
		if !confValue.MatchString(value) {
			return nil, fmt.Errorf("%s=%q: not a value for the settings", name, value)
		}
		return setLine(text, name, value), nil
	}
}

// setLine replaces the first line of name, drops any other, or appends one.
func setLine(text []byte, name, value string) []byte {
	line := name + "=" + value + "\n"
	var b strings.Builder
	done := false
	for l := range strings.Lines(string(text)) {
		if !strings.HasPrefix(l, name+"=") {
			b.WriteString(strings.TrimSuffix(l, "\n") + "\n")
		} else if !done {
			b.WriteString(line)
			done = true
		}
	}
	if !done {
		b.WriteString(line)
	}
	return []byte(b.String())
}

// readSetting reads one back; "" where it is not set.
func (t *Archive) readSetting(name string) string {
	b, err := t.Image.ReadFile(confPath)
	if err != nil {
		return ""
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, name+"="); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func formatSeconds(d time.Duration) string { return fmt.Sprint(int64(d / time.Second)) }

// setSetting makes NAME=value the one line for NAME in the settings of a root tree.
func (t *Tree) setSetting(name, value string) error {
	at := path.Join(toolsDir, confPath)
	f, err := t.undo.Load(at, func([]byte) ([]byte, error) { return nil, nil })
	if err != nil {
		return err
	}
	text, err := withSetting(name, value)(f.After)
	if err != nil {
		return err
	}
	return t.undo.Own(at, 0o644, text)
}
