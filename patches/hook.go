package patches

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

// extendHook has Debian's hook copy the programs, and brings our own.
func (t *Tree) extendHook() (string, error) {
	change := allEdits(withoutCrypttab(t.version.Release), hookBlock(t.execs))
	if err := t.undo.Edit(dropbearHook, pristineHook, change); err != nil {
		return "", err
	}
	if err := t.putOwn(ownHook, 0o755, hookScript); err != nil {
		return "", err
	}
	t.added = append(t.added, manifest.RecordPath)
	summary := fmt.Sprintf("%s in dropbear's, and one of our own", show.Count(len(t.execs), "copy_exec line"))
	if t.version.Release == "buster" {
		summary += "; no crypttab needed"
	}
	return summary, nil
}

// copyExec adds a line to Debian's hook; to "" means the same place. A program
// that has gone since stops update-initramfs with an error, as it stops us.
func (t *Tree) copyExec(name, to string) {
	line := "copy_exec /" + name
	if to != "" {
		line += " " + to
	}
	t.execs = append(t.execs, line+" || exit 1")
	if at := t.undo.At(dropbearHook); !slices.Contains(t.undo.Touched, at) {
		t.undo.Touched = append(t.undo.Touched, at)
	}
}

// What stands in Debian's dropbear hook after `groundhog hooks`: a block of
// copy_exec lines between the marks, and, on buster, a comment where the
// condition was.
const (
	blockBegin = "# groundhog: begin"
	blockEnd   = "# groundhog: end"
	outMark    = "# groundhog: without: "
)

var (
	serverLine = regexp.MustCompile(`^copy_exec.*dropbear`)
	// buster's hook leaves a machine without encrypted disks alone.
	crypttabLine = regexp.MustCompile(`^\[ -r /etc/crypttab \] \|\| exit 0$`)
)

// hookBlock puts the commands before the one line that copies the server.
func hookBlock(commands []string) textEdit {
	return func(text []byte) ([]byte, error) {
		lines := strings.SplitAfter(string(text), "\n")
		at, err := onlyMatch(lines, serverLine)
		if err != nil {
			return nil, err
		}
		block := []string{blockBegin + "\n"}
		for _, c := range commands {
			block = append(block, c+"\n")
		}
		block = append(block, blockEnd+"\n")
		return []byte(strings.Join(slices.Insert(lines, at, block...), "")), nil
	}
}

// withoutCrypttab makes buster's condition a comment. A hook of another release
// has none; if one has, it is not the hook we know.
func withoutCrypttab(release string) textEdit {
	return func(text []byte) ([]byte, error) {
		lines := strings.SplitAfter(string(text), "\n")
		at, err := onlyMatch(lines, crypttabLine)
		switch {
		case release == "buster" && err == nil:
			lines[at] = outMark + lines[at]
			return []byte(strings.Join(lines, "")), nil
		case release == "buster":
			return nil, err
		case slices.ContainsFunc(lines, func(l string) bool { return crypttabLine.MatchString(strings.TrimSuffix(l, "\n")) }):
			return nil, fmt.Errorf("%w: line %q is there, as in buster's only", ErrAnchor, crypttabLine)
		}
		return text, nil
	}
}

// pristineHook takes out what hookBlock and withoutCrypttab put in.
func pristineHook(text []byte) ([]byte, error) {
	var b strings.Builder
	inside := false
	for l := range strings.Lines(string(text)) {
		switch line := strings.TrimSuffix(l, "\n"); {
		case line == blockBegin && !inside, line == blockEnd && inside:
			inside = !inside
		case line == blockBegin, line == blockEnd:
			return nil, fmt.Errorf("%w: %q and %q do not pair", ErrAnchor, blockBegin, blockEnd)
		case !inside:
			b.WriteString(strings.TrimPrefix(l, outMark))
		}
	}
	if inside {
		return nil, fmt.Errorf("%w: %q without %q", ErrAnchor, blockBegin, blockEnd)
	}
	return []byte(b.String()), nil
}
