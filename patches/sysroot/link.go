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

// A loadingProcess is one program being loaded: the names it has libraries for, and the
// objects whose libraries are still to be found, breadth first as ld.so does it.
type loadingProcess struct {
	*linker
	main   *loadedObject
	arch   debian.Machine
	loaded map[string]bool
	queue  []*loadedObject
}

// A loadedObject is the program or a library in it.
type loadedObject struct {
	name   string // for messages
	origin string // its directory, $ORIGIN
	dyn    dynamicInfo
	parent *loadedObject // who needed it first; nil for the program
}

// linkProgram adds what the ELF program at a name needs.
func (l *linker) linkProgram(at string, p *parsedFile) error {
	if p.dyn.interp == "" && len(p.dyn.needed) == 0 {
		return nil // static
	}
	arch, err := p.elf.debianMachine()
	if err != nil {
		return err
	}
	at = named(l.moved, at)
	main := &loadedObject{name: at, origin: path.Dir(at), dyn: p.dyn}
	proc := &loadingProcess{linker: l, main: main, arch: arch, loaded: map[string]bool{}, queue: []*loadedObject{main}}
	if p.dyn.interp != "" {
		f, err := l.findFile(p.dyn.interp)
		if err != nil {
			return fmt.Errorf("program interpreter: %w", err)
		}
		if err := proc.addObject(f, path.Base(f.Name), p.elf, main); err != nil {
			return err
		}
	}
	for len(proc.queue) > 0 {
		o := proc.queue[0]
		proc.queue = proc.queue[1:]
		for _, name := range o.dyn.needed {
			if err := proc.needLibrary(name, o, p.elf); err != nil {
				return err
			}
		}
		// libpthread of glibc before 2.34 opens libgcc_s when a thread is cancelled.
		if o.dyn.soname == "libpthread.so.0" {
			err := proc.needLibrary("libgcc_s.so.1", o, p.elf)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// needLibrary finds a library for o and adds it, unless the process has it already.
func (p *loadingProcess) needLibrary(name string, o *loadedObject, like *elfFile) error {
	if p.loaded[name] {
		return nil
	}
	if p.needs++; p.needs > maxNeeds {
		return fmt.Errorf("%s needs %s: more than %d libraries asked for", showName(o.name), showName(name), maxNeeds)
	}
	dirs := p.searchDirs(o)
	if len(dirs) > maxDirs {
		return fmt.Errorf("%s, needed by %s: more than %d directories to look in", showName(name), showName(o.name), maxDirs)
	}
	base := name
	if strings.Contains(name, "/") {
		full, ok := p.expandTokens(name, o)
		if !ok || full[0] != '/' {
			return fmt.Errorf("%s needs %q, which is no absolute path", showName(o.name), name)
		}
		i := strings.LastIndexByte(full, '/')
		base, dirs = full[i+1:], []string{full[:i]}
	}
	passed := ""
	for _, dir := range dirs {
		f, err := p.findFile(dir + "/" + base)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s, needed by %s: %w", showName(name), showName(o.name), err)
		}
		switch err := p.addObject(f, name, like, o); {
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
		&NotFound{Name: name, Layers: layersOf(p.fsys)}, showName(o.name), showName(where), passed)
}

var errOtherMachine = errors.New("made for another machine")

// addObject takes a found file into the process under the name it was needed by.
func (p *loadingProcess) addObject(f File, needed string, like *elfFile, o *loadedObject) error {
	_, lib, err := p.loadFile(f.Path)
	if err == nil && lib.elf == nil {
		err = errNoELF
	}
	if err == nil && !like.takesLibrary(lib.elf) {
		err = errOtherMachine
	}
	if err != nil {
		return fmt.Errorf("%s, needed by %s: %w", showName(f.Name), showName(o.name), err)
	}
	p.files[f.Name] = f
	if len(p.files) > maxLibraries {
		return fmt.Errorf("more than %d libraries", maxLibraries)
	}
	p.loaded[needed] = true
	if lib.dyn.soname != "" {
		p.loaded[lib.dyn.soname] = true
	}
	p.queue = append(p.queue, &loadedObject{name: f.Name, origin: path.Dir(f.Name), dyn: lib.dyn, parent: o})
	return nil
}

// searchDirs is the directories where ld.so(8) looks for what o needs, in its order.
func (p *loadingProcess) searchDirs(o *loadedObject) []string {
	var dirs []string
	add := func(list []string, of *loadedObject) {
		for _, dir := range list {
			// The working directory, which an empty or relative path means, is unknown.
			if dir, ok := p.expandTokens(dir, of); ok && strings.HasPrefix(dir, "/") {
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
	return uniqueStrings(dirs)
}

// uniqueStrings drops repetitions and keeps the order.
func uniqueStrings(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s string) bool {
		again := seen[s]
		seen[s] = true
		return again
	})
}

// expandTokens replaces $ORIGIN, $LIB and $PLATFORM, with or without braces. It reports
// false where one of them has no value here.
func (p *loadingProcess) expandTokens(s string, o *loadedObject) (string, bool) {
	if !strings.Contains(s, "$") {
		return s, s != ""
	}
	ok := true
	for _, v := range []struct{ name, value string }{
		{"ORIGIN", "/" + o.origin},
		{"LIB", "lib/" + p.arch.Triplet}, // as Debian configures glibc
		{"PLATFORM", loaderPlatforms[p.arch.Arch]},
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
