package patches

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/patches/sysroot"
)

// modprobeDirs is where modprobe looks for its configuration, of two files with one name the first (modprobe.d(5)).
var modprobeDirs = []string{"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "lib/modprobe.d"}

// installLine has modprobe run a command in place of loading the modules that a pattern fits; without a command it gives them soft dependencies.
type installLine struct{ pattern, command, file string }

// readInstalls is those lines of modprobe's configuration, in the order in which they count: names are those in a directory. A file that
// cannot be read has none, to modprobe, too.
func readInstalls(names func(dir string) []string, read func(name string) ([]byte, error)) (all []installLine) {
	files := map[string]string{}
	for _, dir := range modprobeDirs {
		for _, name := range names(dir) {
			if strings.HasSuffix(name, ".conf") && !strings.HasPrefix(name, ".") && files[name] == "" {
				files[name] = path.Join(dir, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b, err := read(files[name])
		if err != nil {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", "")) {
			f := strings.Fields(line)
			if len(f) < 3 || f[0] != "install" && f[0] != "softdep" {
				continue
			}
			l := installLine{pattern: strings.ReplaceAll(f[1], "-", "_"), file: files[name]}
			if f[0] == "install" {
				l.command = strings.Join(f[2:], " ")
			}
			all = append(all, l)
		}
	}
	return all
}

// installs is the archive's install lines.
func (t *Archive) installs() []installLine {
	in := map[string][]string{}
	for name := range t.Image.Tree() {
		in[path.Dir(name)] = append(in[path.Dir(name)], path.Base(name))
	}
	names := func(dir string) []string {
		at, there := t.Image.Resolve(dir)
		if !there {
			return nil
		}
		return in[at]
	}
	return readInstalls(names, t.Image.ReadFile)
}

// installs is the install lines that an archive of the root tree will have: mkinitramfs takes what is in the first directory and the last.
func (t *Tree) installs() []installLine {
	names := func(dir string) (all []string) {
		if dir != modprobeDirs[0] && dir != modprobeDirs[len(modprobeDirs)-1] {
			return nil
		}
		at, err := sysroot.Resolve(t.Root, dir)
		if err != nil {
			return nil
		}
		list, _ := fs.ReadDir(t.Root, at)
		for _, e := range list {
			all = append(all, e.Name())
		}
		return all
	}
	return readInstalls(names, t.readOptional)
}

// noCommands are programs that do nothing, by which a module is kept from being loaded.
var noCommands = []string{"true", "false", ":", "nologin", "echo", "exit"}

// checkInstalls refuses modules that are asked for, and what they cannot be without, where modprobe's configuration has it do nothing in place of loading
// them. A blacklist keeps nothing from being loaded by its name, and /init loads what it has listed by its name. Of a module with a soft dependency
// that is there modprobe heeds no install line (libkmod-module.c, __kmod_module_fill_softdep).
func (t *editTarget) checkInstalls(need []sysroot.Module, lines []installLine, where string) error {
	must, byName := map[string]bool{}, map[string]sysroot.Module{}
	for _, m := range need {
		byName[m.Name] = m
	}
	for todo := slices.Clone(t.opts.Modules); len(todo) > 0; todo = todo[1:] {
		if name := strings.ReplaceAll(todo[0], "-", "_"); !must[name] {
			must[name] = true
			todo = append(todo, byName[name].Depends...)
		}
	}
	for _, m := range need {
		line := func(install bool) int {
			return slices.IndexFunc(lines, func(l installLine) bool {
				ok, _ := path.Match(l.pattern, m.Name)
				return ok && install == (l.command != "")
			})
		}
		i := line(true)
		if m.Builtin || m.Soft || i < 0 {
			continue
		}
		l := lines[i]
		says := fmt.Sprintf("install %s %s", show.Printable(l.pattern), show.Printable(l.command))
		switch first, _, more := strings.Cut(l.command, " "); {
		case !slices.Contains(noCommands, path.Base(first)), more && strings.Contains(l.command, "modprobe"):
			t.addNote("module %s: by %s of %s modprobe runs a command in its place (%s)", m.Name, l.file, where, says)
		case must[m.Name] && line(false) < 0:
			return fmt.Errorf("module %s: modprobe would not load it, by %s of %s (%s): take that line out", m.Name, l.file, where, says)
		default:
			t.addNote("module %s: modprobe may not load it, by %s of %s (%s)", m.Name, l.file, where, says)
		}
	}
	return nil
}
