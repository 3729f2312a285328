package patches

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

// copyExec puts the program src of the root tree into the archive at dst, and
// beside it every library it needs, as copy_exec of initramfs-tools does. What
// is in the archive already stays: its own programs were made for it. It
// returns how many libraries the program has.
func (t *Archive) copyExec(src, dst string) (int, error) {
	found, err := t.findProgram(src)
	if err != nil {
		return 0, err
	}
	arch, err := sysroot.ProgramArch(t.Root, found)
	if err != nil {
		return 0, err
	}
	if t.Arch != "" && arch != "" && !debian.RunsProgram(t.Arch, arch) {
		return 0, fmt.Errorf("%s in the root tree is made for %s, and would not start on %s", found, arch, t.Arch)
	}
	if err := t.copyFile(found, dst); err != nil {
		return 0, err
	}
	libs, err := t.copyLibraries(found)
	if err != nil {
		return 0, err
	}
	return len(libs), t.checkVersions(dst, libs)
}

// copyLibraries copies what the program or library at src in the root tree needs, and returns that.
func (t *Archive) copyLibraries(src string) ([]sysroot.File, error) {
	libs, err := sysroot.Closure(t.Root, src)
	if err != nil {
		return nil, err
	}
	for _, lib := range libs {
		if err := t.copyLibrary(lib); err != nil {
			return nil, err
		}
	}
	return libs, nil
}

// copyFile puts a file of the root tree at dst, unless one is there.
func (t *Archive) copyFile(src, dst string) error {
	if _, ok := t.Image.Resolve(dst); ok {
		return nil
	}
	return t.putFile(src, dst)
}

// putFile puts a file of the root tree at dst, whatever is there.
func (t *Archive) putFile(src, dst string) error {
	real, err := sysroot.Resolve(t.Root, src)
	if err != nil {
		return err
	}
	info, err := fs.Stat(t.Root, real)
	if err != nil {
		return err
	}
	data, err := fs.ReadFile(t.Root, real)
	if err != nil {
		return err
	}
	return t.putEntry(dst, initrd.TypeFile|uint32(info.Mode().Perm()), data)
}

// copyLibrary copies the file and, where the loader knows it by another name,
// makes that a symlink to it, as the root tree has it.
func (t *Archive) copyLibrary(lib sysroot.File) error {
	if _, ok := t.Image.Resolve(lib.Name); ok {
		return nil
	}
	if err := t.copyFile(lib.Path, lib.Path); err != nil {
		return err
	}
	name, ok := t.Image.Resolve(lib.Name)
	if ok { // the archive's own symlinks lead there
		return nil
	}
	target, _ := t.Image.Resolve(lib.Path)
	return t.putEntry(name, initrd.TypeLink|0o777, []byte(relativePath(path.Dir(name), target)))
}

// relativePath is the way from directory dir to the file at name.
func relativePath(dir, name string) string {
	from, to := strings.Split(path.Clean(dir), "/"), strings.Split(name, "/")
	if from[0] == "." {
		from = nil
	}
	for len(from) > 0 && len(to) > 1 && from[0] == to[0] {
		from, to = from[1:], to[1:]
	}
	return strings.Repeat("../", len(from)) + strings.Join(to, "/")
}

// checkVersions holds what was added against the libraries that were in the
// archive before: one from an older build may lack a symbol version that the
// program needs, and then it would not start on the device.
func (t *Archive) checkVersions(program string, libs []sysroot.File) error {
	has := map[string][]string{}    // library file name: the versions it defines
	files := map[string]*elf.File{} // one for both questions: for the first, all symbols are read
	for _, lib := range libs {
		b, err := t.Image.ReadFile(lib.Name)
		if err != nil {
			return err
		}
		f, err := elf.NewFile(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("%s in the archive: %w", lib.Name, err)
		}
		files[lib.Name] = f
		vs, _ := f.DynamicVersions()
		for _, v := range vs {
			has[path.Base(lib.Name)] = append(has[path.Base(lib.Name)], v.Name)
		}
	}
	b, err := t.Image.ReadFile(program)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(b, []byte(elf.ELFMAG)) { // else a script; its interpreter is among the libraries
		f, err := elf.NewFile(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("%s: %w", program, err)
		}
		if err := checkNeeds(program, f, has); err != nil {
			return err
		}
	}
	for _, lib := range libs {
		if err := checkNeeds(lib.Name, files[lib.Name], has); err != nil {
			return err
		}
	}
	return nil
}

// checkNeeds checks that each symbol version that the file at name needs is
// one that the library in the archive defines (Linux Standard Base, "Symbol
// Versioning").
func checkNeeds(name string, f *elf.File, has map[string][]string) error {
	needs, _ := f.DynamicVersionNeeds()
	for _, need := range needs {
		versions, ok := has[need.Name]
		if !ok || len(versions) == 0 {
			continue
		}
		for _, dep := range need.Needs {
			if dep.Flags&elf.VER_FLG_WEAK == 0 && !slices.Contains(versions, dep.Dep) {
				return fmt.Errorf("%s needs %s, which the archive's %s does not have: archive and root tree are of different builds (run update-initramfs in the root tree first)",
					name, dep.Dep, need.Name)
			}
		}
	}
	return nil
}
