package patches

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/show"
	"groundhog/patches/scripts"
	"groundhog/patches/sysroot"
)

// errGap is wrapped by errors about an archive in which something that has to run
// would not: a device that boots it cannot be reached.
var errGap = errors.New("a device that boots this archive could not be reached")

// searchPath is PATH as /init and dropbear's sessions have it.
var searchPath = []string{"sbin", "usr/sbin", "bin", "usr/bin"}

// A scriptCall is a script that runs a command.
type scriptCall struct{ script, command string }

// bootCalls is what runs from power-on to a login: our own scripts, and dropbear's with
// the functions of initramfs-tools that it calls.
func (t *Archive) bootCalls() ([]scriptCall, error) {
	all, err := ownCalls()
	if err != nil {
		return nil, err
	}
	all = slices.Clone(all)
	functions := t.readCalls("scripts/functions")
	for _, name := range []string{premountScript, bottomScript} {
		c := t.readCalls(name)
		if c == nil {
			continue
		}
		with := []*debian.Calls{c}
		if functions != nil {
			with = append(with, functions)
		}
		for _, command := range debian.Reached(c.Main(), with...) {
			all = append(all, scriptCall{name, command})
		}
	}
	return all, nil
}

// ownCalls is those of our own scripts.
var ownCalls = sync.OnceValues(func() ([]scriptCall, error) {
	var all []scriptCall
	var parsed []*debian.Calls
	files := append(scripts.Files(), scripts.Shell())
	for _, f := range files {
		c, err := debian.ReadCalls(f.Path, f.Data)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, c)
	}
	for i, f := range files {
		for _, command := range debian.Reached(parsed[i].Every(), parsed...) {
			all = append(all, scriptCall{f.Path, command})
		}
	}
	return all, nil
})

// readCalls is what a script of the archive calls, nil where that cannot be told.
func (t *Archive) readCalls(name string) *debian.Calls {
	b, err := t.Image.ReadFile(name)
	if err != nil {
		return nil
	}
	c, err := debian.ReadCalls(name, b)
	if err != nil {
		return nil
	}
	return c
}

// findCommand is where the archive has a command, "" where it has none.
func (t *Archive) findCommand(name string) string {
	names := []string{strings.TrimPrefix(name, "/")}
	if !strings.Contains(name, "/") {
		names = nil
		for _, dir := range searchPath {
			names = append(names, path.Join(dir, name))
		}
	}
	for _, at := range names {
		real, ok := t.Image.Resolve(at)
		if e := t.Image.Lookup(real); ok && e.IsFile() && e.Perm()&0o111 != 0 && t.busyboxHas(real, path.Base(name)) {
			return at
		}
	}
	return ""
}

// busyboxHas reports whether a program, if it is busybox, has an applet of that name.
func (t *Archive) busyboxHas(at, applet string) bool {
	box := t.readBusybox()
	if len(box) == 0 || !bytes.Equal(t.Image.Content(t.Image.Lookup(at)), box) || applet == "busybox" {
		return true
	}
	if len(t.applets.of) != len(box) || &t.applets.of[0] != &box[0] {
		list, err := readApplets(box)
		t.applets = knownApplets{box, list, err}
	}
	return t.applets.err != nil || slices.Contains(t.applets.list, applet)
}

// knownApplets is what was read of a busybox, which is asked for each command that is called.
type knownApplets struct {
	of   []byte
	list []string
	err  error
}

// readBusybox is the archive's, nil where it has none.
func (t *Archive) readBusybox() []byte {
	b, _ := t.Image.ReadFile("bin/busybox")
	return b
}

// supplyCommands makes what is called and missing, as far as that can be had: the root tree's busybox where the
// archive has none, and names for one that has too few. It says what it did, "" for nothing.
func (t *Archive) supplyCommands() (string, error) {
	calls, err := t.bootCalls()
	if err != nil {
		return "", err
	}
	missing := slices.DeleteFunc(calls, func(c scriptCall) bool { return t.findCommand(c.command) != "" })
	if len(missing) == 0 {
		return "", nil
	}
	if t.readBusybox() == nil {
		if t.Root == nil {
			return "", nil // checkCalls names what is missing
		}
		names, err := t.graftBusybox()
		return fmt.Sprintf(", busybox taken from the root tree with %s", show.Count(names, "name")), err
	}
	list, err := readApplets(t.readBusybox())
	if err != nil || !slices.ContainsFunc(missing, func(c scriptCall) bool { return slices.Contains(list, c.command) }) {
		return "", nil
	}
	names, err := t.nameApplets(list)
	return fmt.Sprintf(", %s made for its busybox", show.Count(names, "name")), err
}

// nameApplets makes the names of busybox's applets that are free, and returns how many that is.
func (t *Archive) nameApplets(list []string) (int, error) {
	box, _ := t.Image.Resolve("bin/busybox")
	n := 0
	for _, applet := range list {
		dir := appletDir(applet)
		name := path.Join(dir, applet)
		if t.Image.Lookup(name) != nil || t.findCommand(applet) != "" {
			continue
		}
		at, _ := t.Image.Resolve(dir)
		if err := t.putEntry(name, initrd.TypeLink|0o777, []byte(relativePath(at, box))); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// checkCalls looks up everything that has to run in the patched archive.
func (t *Archive) checkCalls() error {
	calls, err := t.bootCalls()
	if err != nil {
		return err
	}
	var incomplete []string
	gaps := map[string][]string{}
	programs := []string{"sbin/dropbear"}
	for _, c := range calls {
		at := t.findCommand(c.command)
		switch {
		case at != "":
			programs = append(programs, at)
		case gaps[c.script] == nil:
			incomplete = append(incomplete, c.script)
			fallthrough
		default:
			gaps[c.script] = append(gaps[c.script], show.Printable(c.command))
		}
	}
	var said []string
	for _, s := range incomplete {
		said = append(said, s+" calls "+strings.Join(gaps[s], ", "))
	}
	if len(said) > 0 {
		return fmt.Errorf("%w: %s, not in the archive (install %s in the root tree, run update-initramfs there and patch what it made)",
			errGap, strings.Join(said, "; "), t.packagesFor(gaps))
	}
	return t.checkPrograms(programs)
}

// packagesFor is what to install for commands that are missing.
func (t *Archive) packagesFor(gaps map[string][]string) string {
	for _, list := range gaps {
		if slices.Contains(list, "ipconfig") {
			return "klibc-utils"
		}
	}
	if t.readBusybox() != nil {
		return "Debian's busybox, which has these,"
	}
	return "busybox"
}

// checkPrograms wants every program to have its interpreter and its libraries in the archive: those that are called, root's
// shell, and what the patches brought.
func (t *Archive) checkPrograms(programs []string) error {
	if root := t.facts().Root(); root != nil && root.Shell != "" {
		programs = append(programs, strings.TrimPrefix(root.Shell, "/"))
	}
	for _, name := range append(t.all, "init", premountScript, bottomScript, "bin/curl", WriterPath) {
		if e := t.Image.Lookup(name); e != nil && e.IsFile() && e.Perm()&0o111 != 0 {
			programs = append(programs, name)
		}
	}
	var list []string
	for _, name := range programs {
		real, ok := t.Image.Resolve(name)
		if !ok {
			return fmt.Errorf("%w: no %s in it", errGap, show.Printable(name))
		}
		if _, module := debian.ModuleName(real); module || slices.Contains(list, real) {
			continue
		}
		if b := t.Image.Content(t.Image.Lookup(real)); bytes.HasPrefix(b, []byte("\x7fELF")) || bytes.HasPrefix(b, []byte("#!")) {
			list = append(list, real)
		}
	}
	slices.Sort(list)
	if _, err := sysroot.Closure(archiveFS{t.Image}, list...); err != nil {
		return fmt.Errorf("%w: %w, in the archive", errGap, err)
	}
	return nil
}
