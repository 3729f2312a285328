package patches

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"groundhog/initrd/show"
	"groundhog/patches/scripts"
)

// confPath is the settings that groundhog's scripts read, one NAME=value a
// line. Values are words of the characters in confValue, so nothing in them
// can mean more than itself.
const confPath = scripts.Conf

var confValue = regexp.MustCompile(`^[A-Za-z0-9_.:-]*$`)

// setSetting makes NAME=value the one line for NAME in the settings.
func (t *Archive) setSetting(name, value string) error {
	edit := withSetting(name, value)
	if !t.ours[confPath] {
		edit = allEdits(onlySettings(confPath), edit)
	}
	return t.editGenerated(confPath, edit)
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
	f, err := t.undo.Load(treeSettings, nil)
	if err != nil {
		return err
	}
	text, err := withSetting(name, value)(f.After)
	if err != nil {
		return err
	}
	return t.undo.Own(treeSettings, 0o644, text)
}

// treeSettings is where a root tree has the settings.
const treeSettings = toolsDir + "/" + confPath

// ownSettings is those that groundhog makes anew in each run. Others (GROUNDHOG_SAY) are the owner's.
var ownSettings = regexp.MustCompile(`(?m)^GROUNDHOG_(?:BUILD|DEVICE|INTERFACE_TIMEOUT|PORT|MAC|EPOCH|WAIT)=.*\n?`)

// openSettings begins with what the owner has set.
func (t *Tree) openSettings() error {
	f, err := t.undo.Load(treeSettings, nil)
	if err != nil {
		return err
	}
	if known, _ := t.undo.Wrote(treeSettings); !known && !t.recorded(treeSettings) {
		_, err = onlySettings(treeSettings)(f.Current)
	}
	f.After = ownSettings.ReplaceAll(f.Current, nil)
	return err
}

var settingLine = regexp.MustCompile(`^(?:GROUNDHOG_[A-Z_]+=.*|[ \t]*(?:#.*)?)$`)

// onlySettings refuses a text that is no settings of groundhog's, and so somebody else's.
func onlySettings(name string) textEdit {
	return func(text []byte) ([]byte, error) {
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSuffix(line, "\n"); !settingLine.MatchString(line) {
				return nil, fmt.Errorf("%s is not groundhog's, in which each line is a setting (%s is none): give it another name", name, show.Printable(strings.TrimSpace(line)))
			}
		}
		return text, nil
	}
}
