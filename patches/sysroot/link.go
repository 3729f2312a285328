package sysroot

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/debian"
)

// A process is one program being loaded: the names it has libraries for, and the
// objects whose libraries are still to be found, breadth first as ld.so does it.
type process struct {
	*linker
	main   *object
	arch   debian.Machine
	loaded map[string]bool
	queue  []*object
}

// An object is the program or a library in it.
type object struct {
	name   string // for messages
	origin string // its directory, $ORIGIN
	dyn    dynamic
	parent *object // who needed it first; nil for the program
}

// link adds what the ELF program at a name needs.
func (l *linker) link(at string, p *parsed) error {
	if p.dyn.interp == "" && len(p.dyn.needed) == 0 {
		return nil // static
	}
	arch, err := p.elf.architecture()
	if err != nil {
		return err
	}
	main := &object{name: at, origin: path.Dir(at), dyn: p.dyn}
	proc := &process{linker: l, main: main, arch: arch, loaded: map[string]bool{}, queue: []*object{main}}
	if p.dyn.interp != "" {
		f, err := l.find(p.dyn.interp)
		if err != nil {
			return fmt.Errorf("program interpreter: %w", err)
		}
		if err := proc.add(f, path.Base(f.Name), p.elf, main); err != nil {
			return err
		}
	}
	for len(proc.queue) > 0 {
		o := proc.queue[0]
		proc.queue = proc.queue[1:]
		for _, name := range o.dyn.needed {
			if err := proc.need(name, o, p.elf); err != nil {
				return err
			}
		}
		// libpthread of glibc before 2.34 opens libgcc_s when a thread is cancelled.
		if o.dyn.soname == "libpthread.so.0" {
			err := proc.need("libgcc_s.so.1", o, p.elf)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// need finds a library for o and adds it, unless the process has it already.
func (p *process) need(name string, o *object, like *elfFile) error {
	if p.loaded[name] {
		return nil
	}
	if p.needs++; p.needs > maxNeeds {
		return fmt.Errorf("%s needs %s: more than %d libraries asked for", show(o.name), show(name), maxNeeds)
	}
	dirs := p.search(o)
	if len(dirs) > maxDirs {
		return fmt.Errorf("%s, needed by %s: more than %d directories to look in", show(name), show(o.name), maxDirs)
	}
	base := name
	if strings.Contains(name, "/") {
		full, ok := p.expand(name, o)
		if !ok || full[0] != '/' {
			return fmt.Errorf("%s needs %q, which is no absolute path", show(o.name), name)
		}
		i := strings.LastIndexByte(full, '/')
		base, dirs = full[i+1:], []string{full[:i]}
	}
	passed := ""
	for _, dir := range dirs {
		f, err := p.find(dir + "/" + base)
		if absent(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s, needed by %s: %w", show(name), show(o.name), err)
		}
		switch err := p.add(f, name, like, o); {
		case errors.Is(err, errOtherMachine):
			passed = ", passing over one for another machine"
		default:
			return err
		}
	}
	const shown = 12
	where := strings.Join(dirs[:min(len(dirs), shown)], ", ")
	if len(dirs) > shown {
		where += fmt.Sprintf(" and %d more", len(dirs)-shown)
	}
	return fmt.Errorf("%w (needed by %s, looked in %s%s)",
		&NotFound{Name: name, Layers: layersOf(p.fsys)}, show(o.name), show(where), passed)
}

var errOtherMachine = errors.New("made for another machine")

// add takes a found file into the process under the name it was needed by.
func (p *process) add(f File, needed string, like *elfFile, o *object) error {
	_, lib, err := p.load(f.Path)
	if err == nil && lib.elf == nil {
		err = errNoELF
	}
	if err == nil && !like.fits(lib.elf) {
		err = errOtherMachine
	}
	if err != nil {
		return fmt.Errorf("%s, needed by %s: %w", show(f.Name), show(o.name), err)
	}
	p.files[f.Name] = f
	if len(p.files) > maxLibraries {
		return fmt.Errorf("more than %d libraries", maxLibraries)
	}
	p.loaded[needed] = true
	if lib.dyn.soname != "" {
		p.loaded[lib.dyn.soname] = true
	}
	p.queue = append(p.queue, &object{name: f.Name, origin: path.Dir(f.Name), dyn: lib.dyn, parent: o})
	return nil
}

// search is the directories where ld.so(8) looks for what o needs, in its order.
func (p *process) search(o *object) []string {
	var dirs []string
	add := func(list []string, of *object) {
		for _, dir := range list {
			// The working directory, which an empty or relative path means, is unknown.
			if dir, ok := p.expand(dir, of); ok && strings.HasPrefix(dir, "/") {
				dirs = append(dirs, "/"+strings.Trim(dir, "/"))
			}
		}
	}
	if o.dyn.runpath == nil {
		for a := o; a != nil && len(dirs) <= maxDirs; a = a.parent {
			if a.dyn.runpath == nil {
				add(a.dyn.rpath, a)
			}
		}
	}
	add(o.dyn.runpath, o)
	add(p.conf, p.main)
	if !o.dyn.noDefault {
		dirs = append(dirs, "/lib/"+p.arch.Triplet, "/usr/lib/"+p.arch.Triplet, "/lib", "/usr/lib")
		if p.arch.Class == elf.ELFCLASS64 {
			dirs = append(dirs, "/lib64", "/usr/lib64")
		}
	}
	return unique(dirs)
}

// unique drops repetitions and keeps the order.
func unique(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s string) bool {
		again := seen[s]
		seen[s] = true
		return again
	})
}

// expand replaces $ORIGIN, $LIB and $PLATFORM, with or without braces. It reports
// false where one of them has no value here.
func (p *process) expand(s string, o *object) (string, bool) {
	if !strings.Contains(s, "$") {
		return s, s != ""
	}
	ok := true
	for _, v := range []struct{ name, value string }{
		{"ORIGIN", "/" + o.origin},
		{"LIB", "lib/" + p.arch.Triplet}, // as Debian configures glibc
		{"PLATFORM", platforms[p.arch.Arch]},
	} {
		for _, form := range []string{"${" + v.name + "}", "$" + v.name} {
			if strings.Contains(s, form) {
				ok = ok && v.value != ""
				s = strings.ReplaceAll(s, form, v.value)
			}
		}
	}
	return s, ok && len(s) <= maxString
}
