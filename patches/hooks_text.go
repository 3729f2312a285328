package patches

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"groundhog/patches/scripts"
)

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
func hookBlock(commands []string) edit {
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
func withoutCrypttab(release string) edit {
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

// onlyMatch is the index of the one line that matches.
func onlyMatch(lines []string, re *regexp.Regexp) (int, error) {
	at, n := -1, 0
	for i, l := range lines {
		if re.MatchString(strings.TrimSuffix(l, "\n")) {
			at = i
			n++
		}
	}
	if n != 1 {
		return 0, fmt.Errorf("%w: line %q is there %d times", ErrAnchor, re, n)
	}
	return at, nil
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

// pristinePremount takes our two lines out of dropbear's boot script.
func pristinePremount(text []byte) ([]byte, error) {
	var b strings.Builder
	for l := range strings.Lines(string(text)) {
		if line := strings.TrimSuffix(l, "\n"); line != scripts.NetworkLine && line != scripts.HoldLine {
			b.WriteString(l)
		}
	}
	return []byte(b.String()), nil
}

// listedModules adds modules to a list as etc/initramfs-tools/modules is one:
// name and arguments, one a line, # for comments.
func listedModules(modules []string) edit {
	return func(text []byte) ([]byte, error) {
		var listed []string
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 {
				listed = append(listed, strings.ReplaceAll(f[0], "-", "_"))
			}
		}
		for _, m := range modules {
			name := strings.ReplaceAll(m, "-", "_")
			if slices.Contains(listed, name) {
				continue
			}
			listed = append(listed, name)
			var err error
			if text, err = withLine(m)(text); err != nil {
				return nil, err
			}
		}
		return text, nil
	}
}
