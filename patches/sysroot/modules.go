package sysroot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"groundhog/initrd/debian"
)

// moduleDirs are the directories that hold modules, the strongest first: what an
// administrator or DKMS put into updates is meant to replace the kernel's own.
var moduleDirs = []string{"updates", "kernel", "extra"}

// Bounds of one call of Needs: modules, and bytes that they unpack to.
const (
	maxModules     = 1024
	maxModuleBytes = 1 << 30
)

// Modules are one kernel's modules in a tree. Their names come from the files and
// their dependencies from the modules themselves, because a tree made of packages
// has no modules.dep. A soft dependency on an alias, such as libcrc32c's on crc32c, without
// which no bnx2x comes up, is resolved by modules.alias; where there is none it counts as missing.
type Modules struct {
	fsys    fs.FS
	version string
	dir     string
	builtin map[string]bool
	asks    map[string][]string               // what built-in modules ask for: firmware by module
	aliases map[string][]string               // modules by alias, of those without a pattern
	index   func() (map[string]string, error) // from name to path
}

// A Module is one that a kernel has.
type Module struct {
	Name    string   // with "_" for every "-"
	Path    string   // in the tree; empty if built in
	Builtin bool     // part of the kernel: there is nothing to copy or load
	Depends []string // modules it needs, as in Modinfo
	Soft    bool     // it has a soft dependency that the kernel has

	Firmware, Aliases []string // as in Modinfo
}

// OpenModules finds the modules of the kernel with that release (uname -r). The
// directories are walked when a module is first asked for.
func OpenModules(fsys fs.FS, version string) (*Modules, error) {
	if version == "" || version == "." || version == ".." || strings.Contains(version, "/") {
		return nil, fmt.Errorf("opening modules: %q is no kernel version", version)
	}
	name, err := Find(fsys, "lib/modules/"+version) // modprobe knows it by that name, wherever links lead
	if err != nil {
		return nil, fmt.Errorf("opening modules: %w%s", err, otherKernels(fsys))
	}
	m := &Modules{fsys: fsys, version: version, dir: name}
	m.index = sync.OnceValues(m.findModules)
	b, err := readRegular(fsys, path.Join(name, "modules.builtin"), 16<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening modules: %w", err)
	}
	m.builtin = parseBuiltin(string(b))
	b, err = readRegular(fsys, path.Join(name, "modules.builtin.modinfo"), 16<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening modules: %w", err)
	}
	m.asks = builtinFirmware(string(b))
	b, err = readRegular(fsys, path.Join(name, "modules.alias"), 16<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening modules: %w", err)
	}
	m.aliases = parseAliases(string(b))
	return m, nil
}

// parseAliases reads modules.alias, "alias NAME MODULE" a line.
func parseAliases(text string) map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "alias" && !strings.ContainsAny(f[1], "*?[") {
			name := moduleName(f[1])
			all[name] = append(all[name], moduleName(f[2]))
		}
	}
	return all
}

// otherKernels says which kernels there are modules of, where those of another are asked for: an update may have taken them away.
func otherKernels(fsys fs.FS) string {
	const most = 4
	all, _ := debian.RootKernels(fsys)
	if len(all) > most {
		all = append(all[:most], "others")
	}
	if all == nil {
		return ""
	}
	return "; there are modules of " + showName(strings.Join(all, ", "))
}

// parseBuiltin reads modules.builtin: the path that each module would have had.
func parseBuiltin(text string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(text) {
		if name, ok := debian.ModuleName(strings.TrimSpace(line)); ok {
			names[name] = true
		}
	}
	return names
}

// findModules finds the files of all modules; the first of a name wins.
func (m *Modules) findModules() (map[string]string, error) {
	index := map[string]string{}
	for _, sub := range moduleDirs {
		err := fs.WalkDir(m.fsys, path.Join(m.dir, sub), func(at string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if name, ok := debian.ModuleName(at); ok && !d.IsDir() && index[name] == "" {
				index[name] = at
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for modules of kernel %s: %w", m.version, err)
		}
	}
	return index, nil
}

// Needs returns the named modules and all that they need, each once, in an order
// in which they can be loaded: for every module what it depends on, its soft
// dependencies to come before it, itself, its soft dependencies to come after. A
// name may be written with "-" or "_". A soft dependency that the kernel does not
// have is left out; anything else missing is an error, and so is a module built
// for another kernel.
func (m *Modules) Needs(names ...string) ([]Module, error) {
	index, err := m.index()
	if err != nil {
		return nil, err
	}
	w := &moduleSearch{Modules: m, paths: index, seen: map[string]bool{}, left: maxModuleBytes}
	for _, name := range names {
		name = moduleName(name)
		if !w.hasModule(name) {
			return nil, fmt.Errorf("module %s: not in kernel %s (looked in %s)", showName(name), m.version, m.placesLooked())
		}
		if err := w.addModule(name); err != nil {
			return nil, err
		}
	}
	return w.list, nil
}

func (m *Modules) placesLooked() string {
	return m.dir + "/{" + strings.Join(moduleDirs, ",") + "} and modules.builtin"
}

// moduleSearch is one Needs under way.
type moduleSearch struct {
	*Modules
	paths map[string]string
	seen  map[string]bool
	list  []Module
	left  int64 // bytes
}

func (w *moduleSearch) hasModule(name string) bool { return w.paths[name] != "" || w.builtin[name] }

func (w *moduleSearch) addModule(name string) error {
	if w.seen[name] {
		return nil
	}
	if w.seen[name] = true; len(w.seen) > maxModules {
		return fmt.Errorf("module %s: more than %d modules", showName(name), maxModules)
	}
	file := w.paths[name]
	if file == "" {
		w.list = append(w.list, Module{Name: name, Builtin: true, Firmware: w.asks[name]})
		return nil
	}
	info, err := w.readModinfo(name, file)
	if err != nil {
		return err
	}
	for _, dep := range info.Depends {
		if !w.hasModule(dep) {
			return fmt.Errorf("module %s: needs %s, which is not in kernel %s (looked in %s)",
				showName(name), showName(dep), w.version, w.placesLooked())
		}
		if err := w.addModule(dep); err != nil {
			return err
		}
	}
	if err := w.addSoft(info.Pre); err != nil {
		return err
	}
	w.list = append(w.list, Module{Name: name, Path: file, Depends: slices.Clone(info.Depends), Soft: len(w.softly(info.Pre))+len(w.softly(info.Post)) > 0, Firmware: info.Firmware, Aliases: info.Aliases})
	return w.addSoft(info.Post)
}

func (w *moduleSearch) addSoft(names []string) error {
	for _, name := range w.softly(names) {
		if err := w.addModule(name); err != nil {
			return err
		}
	}
	return nil
}

// softly is those modules that the kernel has of soft dependencies.
func (w *moduleSearch) softly(names []string) (all []string) {
	for _, name := range names {
		named := []string{name}
		if !w.hasModule(name) { // as modprobe has it
			named = w.aliases[name]
		}
		for _, name := range named {
			if w.hasModule(name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// readModinfo reads a module and checks that this kernel would take it.
func (w *moduleSearch) readModinfo(name, file string) (Modinfo, error) {
	b, err := readRegular(w.fsys, file, fileLimit)
	if err != nil {
		return Modinfo{}, fmt.Errorf("module %s: %w", showName(name), err)
	}
	plain, err := unpackBytes(b, min(fileLimit, w.left))
	w.left -= int64(len(plain))
	var info Modinfo
	if err == nil {
		info, err = parseModinfo(plain)
	}
	if err != nil {
		return Modinfo{}, fmt.Errorf("reading module %s: %w", showName(file), err)
	}
	if built, _, _ := strings.Cut(info.Vermagic, " "); built != w.version {
		return Modinfo{}, fmt.Errorf("module %s: built for kernel %q, not %s (%s)", showName(name), built, w.version, showName(file))
	}
	return info, nil
}
