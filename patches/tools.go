package patches

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

var toolName = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9/_.+-]*$`)

func (o *Options) checkTools() error {
	for _, t := range o.Tools {
		if !toolName.MatchString(t) {
			return fmt.Errorf("tool %q: not the name or path of a program", t)
		}
	}
	return nil
}

// addTools adds the further programs, each where the root tree has it.
func (t *Archive) addTools() (string, error) {
	var names []string
	for _, tool := range t.opts.Tools {
		src, err := t.findTool(tool)
		if err != nil {
			return "", err
		}
		dst := debian.MergedUsr(src)
		if err := t.notBusybox(src, dst); err != nil {
			return "", err
		}
		if _, err := t.copyExec(src, dst); err != nil {
			return "", err
		}
		names = append(names, path.Base(src))
	}
	return strings.Join(names, ", "), nil
}

// notBusybox puts the program src over dst where that is one of busybox's
// names, as Debian's hooks do, which run before busybox's own.
func (t *Archive) notBusybox(src, dst string) error {
	box, ok := t.Image.Resolve("bin/busybox")
	at, there := t.Image.Resolve(dst)
	if !ok || !there || path.Base(src) == "busybox" {
		return nil
	}
	e, b := t.Image.Lookup(at), t.Image.Lookup(box)
	if at != box && (e.LinkID() == nil || e.LinkID() != b.LinkID()) {
		return nil
	}
	return t.putFile(src, dst)
}

// findTool finds a program by its path, or by its name where PATH would.
func (t *editTarget) findTool(tool string) (string, error) {
	if strings.Contains(tool, "/") {
		return t.findProgram(strings.TrimLeft(path.Clean(tool), "/"))
	}
	var names []string
	for _, dir := range []string{"usr/sbin", "usr/bin", "sbin", "bin"} {
		names = append(names, path.Join(dir, tool))
	}
	found, err := t.findProgram(names...)
	if _, missing := errors.AsType[*sysroot.NotFound](err); missing {
		return "", t.missingError(tool, names...)
	}
	return found, err
}

func (t *Tree) hookTools() (string, error) {
	var names []string
	for _, tool := range t.opts.Tools {
		found, err := t.findTool(tool)
		if err != nil {
			return "", fmt.Errorf("%w: install the package that has it there", err)
		}
		// Debian's copy_exec takes a script alone, without what runs it.
		interpreters, err := sysroot.Interpreters(t.Root, found)
		if err != nil {
			return "", err
		}
		for _, one := range append([]string{found}, interpreters...) {
			if !toolName.MatchString(one) {
				return "", fmt.Errorf("tool %q: not the path of a program", one)
			}
			t.copyExec(one, "")
			t.added = append(t.added, debian.MergedUsr(one))
		}
		names = append(names, path.Base(found))
	}
	return strings.Join(names, ", "), nil
}
