package patches

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/initrd/show"
	"groundhog/patches/sysroot"
)

var toolName = regexp.MustCompile(`^/*[A-Za-z0-9][A-Za-z0-9/_.+-]*$`)

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
		t.asked = append(t.asked, dst)
	}
	return strings.Join(names, ", "), nil
}

var shells = []string{"sh", "dash", "ash", "bash", "busybox"}

// noteScripts says which commands are not in the archive that scripts call which were asked for, curl where it is one among them: such a script starts
// on the device, and fails there.
func (t *Archive) noteScripts() {
	all := t.asked
	if t.opts.Curl {
		all = append([]string{"bin/curl"}, all...)
	}
	for _, at := range all {
		if b, err := t.Image.ReadFile(at); err == nil {
			t.noteScript(at, b, "is not in the archive", func(command string) bool { return t.findCommand(command) != "" })
		}
	}
}

// noteScript says which commands a program at a path, if it is a script, may call that has does not know; nil knows of none whether it is there.
func (t *editTarget) noteScript(at string, program []byte, missingAs string, has func(command string) bool) {
	line, isScript := bytes.CutPrefix(program, []byte("#!"))
	if !isScript {
		return
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	by := strings.Fields(string(line))
	if len(by) > 1 && path.Base(by[0]) == "env" {
		by = by[1:]
	}
	calls, err := debian.ReadCalls(at, program)
	if len(by) == 0 || !slices.Contains(shells, path.Base(by[0])) || err != nil || has == nil {
		t.addNote("%s is a script: what it needs besides that which runs it is not looked up", at)
		return
	}
	missing := slices.DeleteFunc(debian.Reached(calls.Every(), calls), has)
	if len(missing) > 0 {
		t.addNote("%s is a script, and may call what %s: %s (--tool adds a program)", at, missingAs, show.Printable(someOf(missing)))
	}
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

// inEach is what mkinitramfs and its hooks put into each archive, besides what is klibc's and busybox's (from buster to trixie).
var inEach = wordSet("busybox kmod modprobe rmmod blkid udevadm dropbear")

// klibcDir is where klibc-utils has the programs that come into each archive by their names.
const klibcDir = "usr/lib/klibc/bin"

// noteScripts says which commands the archives to be built need not have that scripts call which were asked for, curl where it is one among them.
func (t *Tree) noteScripts() {
	all := t.opts.Tools
	if t.opts.Curl {
		all = append([]string{"usr/bin/curl"}, all...)
	}
	has := t.commandsInEach()
	for _, tool := range all {
		found, err := t.findTool(tool)
		if err != nil {
			continue // of what was asked for all is there
		}
		if b, err := t.readOptional(found); err == nil {
			t.noteScript(found, b, "no hook is known to put into the initramfs", has)
		}
	}
}

// commandsInEach knows which commands each archive of the root tree will have; nil where busybox's cannot be told.
func (t *Tree) commandsInEach() func(command string) bool {
	box, err := t.readOptional("usr/bin/busybox")
	applets, bad := readApplets(box)
	if err != nil || bad != nil {
		return nil
	}
	names, paths := maps.Clone(inEach), map[string]bool{}
	for _, applet := range applets {
		names[applet] = true
	}
	klibc, _ := fs.ReadDir(t.Root, klibcDir)
	for _, e := range klibc {
		names[e.Name()] = true
	}
	for _, a := range t.record {
		for _, p := range a.Paths {
			paths[p] = true
			if slices.Contains(searchPath, path.Dir(p)) {
				names[path.Base(p)] = true
			}
		}
	}
	return func(command string) bool {
		if !strings.Contains(command, "/") {
			return names[command]
		}
		at := debian.MergedUsr(strings.TrimLeft(command, "/"))
		return paths[at] || names[path.Base(at)] && slices.Contains(searchPath, path.Dir(at))
	}
}
