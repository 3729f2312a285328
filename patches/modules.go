package patches

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/show"
	"groundhog/patches/depmod"
	"groundhog/patches/sysroot"
)

// modulesList is the modules that /init loads before init-premount, one a
// line; it is there only if something is listed.
const modulesList = "conf/modules"

var moduleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

func (o *Options) checkModules() error {
	for _, m := range o.Modules {
		if !moduleName.MatchString(m) {
			return fmt.Errorf("module %q: not the name of a kernel module", m)
		}
	}
	return nil
}

// addAskedModules puts the kernel modules that were asked for into the archive, with
// what they need, has /init load them, and rebuilds the indexes.
func (t *Archive) addAskedModules() (string, error) {
	if len(t.opts.Modules) == 0 {
		return "", nil
	}
	if t.Kernel == "" {
		return "", errors.New("the archive has no modules, so its kernel's release is unknown")
	}
	have := t.modulesThere()
	need, err := t.neededModules(have)
	if err != nil {
		return "", t.opts.blameBoard(err)
	}
	if err := t.checkInstalls(need, t.installs(), "the archive"); err != nil {
		return "", fmt.Errorf("%w in the root tree, and run update-initramfs there", err)
	}
	added, files, err := t.addModules(need, have)
	if err != nil {
		return "", err
	}
	if err := t.listModules(); err != nil {
		return "", err
	}
	if len(added) > 0 {
		if err := t.rebuildIndexes(); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, of these new: %s%s", strings.Join(t.opts.Modules, ", "), strings.Join(added, ", "), withFirmware(files)), nil
	}
	return strings.Join(t.opts.Modules, ", ") + ", all there already" + withFirmware(files), nil
}

// blameBoard says of modules that cannot be had that the board wants some: nobody may have named one.
func (o *Options) blameBoard(err error) error {
	if o.Board != "cm3" {
		return err
	}
	return fmt.Errorf("%w; board cm3 needs %s: is this a kernel for it?", err, strings.Join(cm3Modules, ", "))
}

func withFirmware(files int) string {
	if files == 0 {
		return ""
	}
	return ", with " + show.Count(files, "file") + " of firmware"
}

// modulesThere is the archive's modules: name, with "_" for "-", to path.
func (t *Archive) modulesThere() map[string]string {
	have := map[string]string{}
	dir, _ := t.Image.Resolve("lib/modules/" + t.Kernel)
	for name := range t.Image.Tree() {
		if module, ok := debian.ModuleName(name); ok && strings.HasPrefix(name, dir+"/") && t.Image.FileAt(name) != nil { // mkinitramfs copies links, too
			have[module] = name
		}
	}
	return have
}

// neededModules is the modules that are wanted, with what they need. What the archive and its index have needs no root tree.
func (t *Archive) neededModules(have map[string]string) (need []sysroot.Module, err error) {
	kernel, err := t.rootModules(have)
	switch {
	case err != nil:
		return nil, err
	case kernel == nil:
		need, err = t.archiveModules(have)
	default:
		need, err = kernel.Needs(t.opts.Modules...)
	}
	if err == nil {
		err = t.checkPacked(need, have)
	}
	return need, err
}

// addModules copies what is missing, firmware included, and returns the names of the modules and how many files of firmware
// there are.
func (t *Archive) addModules(need []sysroot.Module, have map[string]string) ([]string, int, error) {
	dir, there := t.Image.Resolve("lib/modules/" + t.Kernel)
	var added []string
	for _, m := range need {
		if m.Builtin || have[m.Name] != "" {
			continue
		}
		at := debian.MergedUsr(m.Path)
		if _, below, found := strings.Cut(at, "lib/modules/"+t.Kernel+"/"); found && there {
			at = path.Join(dir, below) // /lib need not be a link into usr, and modprobe looks nowhere else
		}
		if err := t.copyFile(m.Path, at); err != nil {
			return nil, 0, err
		}
		added = append(added, m.Name)
	}
	files, err := t.addFirmware(need)
	return added, files, err
}

// checkPacked refuses a module that is wanted, and that the archive's modprobe could not load.
func (t *Archive) checkPacked(need []sysroot.Module, have map[string]string) error {
	for _, m := range need {
		if file := cmp.Or(have[m.Name], m.Path); strings.HasSuffix(file, gzipSuffix) && !t.kmodUnzips() {
			return fmt.Errorf("module %s: %s is packed with gzip, and %s", m.Name, show.Printable(file), noUnzip)
		}
	}
	return nil
}

const (
	gzipSuffix = ".gz"
	noUnzip    = "the archive's modprobe loads none of these: Debian's kmod has no zlib"
)

// kmodUnzips reports whether the archive's kmod loads modules that are packed with gzip: it does if it, or its library, names
// zlib. Where there is no kmod nothing is known against it.
func (t *Archive) kmodUnzips() bool {
	found := false
	for name, e := range t.Image.Tree() {
		if base := path.Base(name); e.IsFile() && (base == "kmod" || strings.HasPrefix(base, "libkmod.so.")) && bytes.HasPrefix(t.Image.Content(e), []byte("\x7fELF")) {
			if found = true; bytes.Contains(t.Image.Content(e), []byte("libz.so.")) {
				return true
			}
		}
	}
	return !found
}

// rootModules is the modules that the root tree has for the archive's kernel; nil where it has none, and the archive has all that
// are wanted.
func (t *Archive) rootModules(have map[string]string) (*sysroot.Modules, error) {
	if t.Root == nil {
		return nil, t.allThere(have)
	}
	kernel, err := sysroot.OpenModules(t.Root, t.Kernel)
	if errors.Is(err, fs.ErrNotExist) {
		if missing := t.allThere(have); missing != nil {
			return nil, fmt.Errorf("%w: %w", missing, err)
		}
		return nil, nil
	}
	return kernel, err
}

// allThere is an error where a wanted module is neither in the archive nor
// built into its kernel.
func (t *Archive) allThere(have map[string]string) error {
	in := map[string]bool{}
	for _, file := range t.builtinModules() {
		if m, ok := debian.ModuleName(file); ok {
			in[m] = true
		}
	}
	for _, m := range t.opts.Modules {
		m = strings.ReplaceAll(m, "-", "_")
		if have[m] == "" && !in[m] {
			return fmt.Errorf("module %s: not in the archive, nor built into its kernel %s", m, t.Kernel)
		}
	}
	return nil
}

// listModules adds the modules to /init's list, in the order given. Lines end
// in a blank, as mkinitramfs writes them.
func (t *Archive) listModules() error {
	return t.editGenerated(modulesList, listedModules(t.opts.Modules, " "))
}

// mostUnread bounds how many modules that cannot be read are named.
const mostUnread = 8

// rebuildIndexes makes the indexes of the archive's modules anew. Those that depmod makes from modules.builtin stay the same when a module is added.
func (t *Archive) rebuildIndexes() error {
	dir, _ := t.Image.Resolve("lib/modules/" + t.Kernel)
	files := map[string][]byte{}
	var packed []string
	unzips := t.kmodUnzips()
	for name := range t.Image.Tree() {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			_, module := debian.ModuleName(name)
			e := t.Image.FileAt(name)
			if e == nil {
				continue
			}
			if module && strings.HasSuffix(name, gzipSuffix) && !unzips { // its depmod passes them over, too
				packed = append(packed, rest)
			} else if module || rest == "modules.order" {
				files[rest] = t.Image.Content(e)
			}
		}
	}
	content := func(name string) []byte {
		if e := t.Image.FileAt(path.Join(dir, name)); e != nil {
			return t.Image.Content(e)
		}
		return nil
	}
	made, unread, err := depmod.Indexes(files, depmod.LayoutOf(content("modules.dep.bin")))
	if err != nil {
		return fmt.Errorf("indexing the modules: %w", err)
	}
	if len(packed) > 0 {
		slices.Sort(packed)
		t.addNote("modules packed with gzip, which are in no index (%s): %s", noUnzip, show.Printable(someOf(packed)))
	}
	for _, u := range unread[:min(len(unread), mostUnread)] {
		t.addNote("module %s cannot be read, and no kernel loads it: %s", show.Printable(u.Path), show.Printable(u.Why.Error()))
	}
	if more := len(unread) - mostUnread; more > 0 {
		t.addNote("%s more cannot be read", show.Count(more, "module"))
	}
	if content("modules.weakdep") == nil {
		delete(made, "modules.weakdep") // before kmod 33 nobody reads it
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		at, mode := path.Join(dir, name), uint32(initrd.TypeFile|0o644)
		if e := t.Image.Lookup(at); e != nil {
			mode = e.Mode
		}
		if err := t.putEntry(at, mode, made[name]); err != nil {
			return err
		}
	}
	return nil
}

// listModules lists the modules in etc/initramfs-tools/modules: mkinitramfs copies
// them with what they need, and has /init load them.
func (t *Tree) listModules() (string, error) {
	if len(t.opts.Modules) == 0 {
		return "", nil
	}
	need, err := t.checkModules()
	if err != nil {
		return "", t.opts.blameBoard(err)
	}
	if err := t.checkInstalls(need, t.installs(), "the root tree"); err != nil {
		return "", err
	}
	err = t.undo.Edit("etc/initramfs-tools/modules", nil, listedModules(t.opts.Modules, ""))
	t.added = append(t.added, modulesList)
	return strings.Join(t.opts.Modules, ", "), err
}

// checkModules wants a kernel that has all the modules, and tells of others
// that have not: mkinitramfs would say nothing. It returns them with what they need.
func (t *Tree) checkModules() (all []sysroot.Module, err error) {
	const dir = "lib/modules"
	kernels, err := debian.RootKernels(t.Root)
	if err != nil {
		return nil, err
	}
	var lacking []error
	for _, name := range kernels {
		kernel, err := sysroot.OpenModules(t.Root, name)
		if err != nil {
			return nil, err
		}
		need, err := kernel.Needs(t.opts.Modules...)
		if err != nil {
			lacking = append(lacking, err)
			continue
		}
		for _, m := range need {
			if !slices.ContainsFunc(all, func(have sysroot.Module) bool { return have.Name == m.Name }) {
				all = append(all, m)
			}
		}
		if slices.ContainsFunc(need, func(m sysroot.Module) bool { return classOfDriver("/"+m.Path, m.Aliases, nil) == wiredDriver }) {
			t.leftOut = ""
		}
		if err := t.hookFirmware(name, need); err != nil {
			return nil, err
		}
	}
	switch {
	case len(kernels) == 0:
		return nil, fmt.Errorf("module %s: no kernel in %s of the root tree, install a linux-image package there", t.opts.Modules[0], dir)
	case len(lacking) == len(kernels):
		return nil, lacking[0]
	}
	for _, err := range lacking {
		t.addNote("%v", err)
	}
	t.noteFirmware()
	return all, nil
}

// listedModules adds modules to a list as etc/initramfs-tools/modules is one:
// name and arguments, one a line, # for comments. Behind a name comes end.
func listedModules(modules []string, end string) textEdit {
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
			if text, err = withLine(m + end)(text); err != nil {
				return nil, err
			}
		}
		return text, nil
	}
}
