package patches

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/show"
	"groundhog/patches/sysroot"
)

// Firmware is a file that a wanted module, or one that it needs, asks the kernel for.
type Firmware struct {
	Module string        `json:"module"`
	Name   string        `json:"name"` // below lib/firmware, without .xz or .zst
	State  FirmwareState `json:"state"`
}

// FirmwareState is what became of a file of firmware.
type FirmwareState string

// A module may name files for many kinds of hardware: what is missing need not be missed.
const (
	FirmwareThere   FirmwareState = "there"   // in the archive before
	FirmwareAdded   FirmwareState = "added"   // taken from the root tree
	FirmwareMissing FirmwareState = "missing" // in neither
)

// Bounds of what hostile modules can bring into an archive, in bytes, and of how many names and patterns are looked for, each of them in a
// dozen places: amdgpu asks for some hundred files.
const (
	maxFirmware = 1 << 30
	maxNames    = 4096
	maxPatterns = 128
)

// asksTooMuch is an error where modules ask for too many files of firmware.
func asksTooMuch(modules []sysroot.Module) error {
	names, patterns := 0, 0
	for _, m := range modules {
		for _, name := range m.Firmware {
			if names++; strings.ContainsAny(name, "*?[") {
				patterns++
			}
		}
		if names > maxNames || patterns > maxPatterns {
			return fmt.Errorf("module %s: with it more than %d names or %d patterns of firmware are asked for", show.Printable(m.Name), maxNames, maxPatterns)
		}
	}
	return nil
}

// addFirmware adds what the modules ask for and returns how many files that is.
func (t *Archive) addFirmware(modules []sysroot.Module) (int, error) {
	if err := asksTooMuch(modules); err != nil {
		return 0, err
	}
	before, left := len(t.touched), int64(maxFirmware)
	for _, m := range modules {
		for _, name := range m.Firmware {
			if err := t.oneFirmware(m.Name, name, &left); err != nil {
				return 0, fmt.Errorf("module %s: %w", m.Name, err)
			}
		}
	}
	t.noteFirmware()
	return len(t.touched) - before, nil
}

// oneFirmware adds the files of one name, which may be a pattern.
func (t *Archive) oneFirmware(module, name string, left *int64) error {
	var found []sysroot.Firmware
	if t.Root != nil {
		var err error
		if found, err = sysroot.FindFirmware(t.Root, t.Kernel, name); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		state := FirmwareMissing
		if t.hasFirmware(name) {
			state = FirmwareThere
		}
		t.firmware = append(t.firmware, Firmware{module, name, state})
	}
	for _, f := range found {
		if t.hasFirmware(f.Name) {
			if !slices.ContainsFunc(t.firmware, func(o Firmware) bool { return o.Name == f.Name }) {
				t.firmware = append(t.firmware, Firmware{module, f.Name, FirmwareThere})
			}
			continue
		}
		content, asIs, err := sysroot.ReadFirmware(t.Root, t.Kernel, f)
		if err != nil {
			return err
		}
		if *left -= int64(len(content)); *left < 0 {
			return fmt.Errorf("more than %d bytes of firmware", int64(maxFirmware))
		}
		at := strings.TrimPrefix(f.Path, "usr/")
		if !asIs {
			at = path.Join(path.Dir(at), path.Base(f.Name))
		}
		if err := t.putEntry(at, initrd.TypeFile|0o644, content); err != nil {
			return err
		}
		t.firmware = append(t.firmware, Firmware{module, f.Name, FirmwareAdded})
	}
	return nil
}

// hasFirmware reports whether the kernel finds a name, or one that a pattern stands for, in the archive.
func (t *Archive) hasFirmware(name string) bool {
	for _, at := range sysroot.FirmwarePaths(t.Kernel, name) {
		if _, ok := t.Image.Resolve(at); ok {
			return true
		}
		if !strings.ContainsAny(name, "*?[") {
			continue
		}
		for there, e := range t.Image.Tree() {
			if ok, _ := path.Match(debian.MergedUsr(at), debian.MergedUsr(there)); ok && !e.IsDir() {
				return true
			}
		}
	}
	return false
}

// noteFirmware names what is missing, by module.
func (t *editTarget) noteFirmware() {
	missing, has := map[string][]string{}, map[string]int{}
	var modules []string
	for _, f := range t.firmware {
		if f.State != FirmwareMissing {
			has[f.Module]++
			continue
		}
		if missing[f.Module] == nil {
			modules = append(modules, f.Module)
		}
		missing[f.Module] = append(missing[f.Module], f.Name)
	}
	where := "the archive, and there is no root tree to take it from"
	if t.Root != nil {
		where = "the root tree: install the package that has it there"
	}
	for _, m := range modules {
		others := ""
		if has[m] > 0 {
			others = fmt.Sprintf(" (%s that it asks for, too, %s there)", show.Count(has[m], "file"), isOrAre(has[m]))
		}
		t.addNote("module %s asks for firmware that is not in %s: %s%s", m, where, someOf(missing[m]), others)
	}
}

// someOf is the names, of very many the first; --json has all.
func someOf(names []string) string {
	const most = 8
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// archiveModules is the wanted modules and what they need, as the archive has them.
func (t *Archive) archiveModules(have map[string]string) ([]sysroot.Module, error) {
	var list []sysroot.Module
	seen := map[string]bool{}
	for todo := slices.Clone(t.opts.Modules); len(todo) > 0; todo = todo[1:] {
		name := strings.ReplaceAll(todo[0], "-", "_")
		if seen[name] || have[name] == "" {
			continue // built in
		}
		seen[name] = true
		b, err := t.Image.ReadFile(have[name])
		if err != nil {
			return nil, err
		}
		info, err := sysroot.ParseModinfo(have[name], b)
		if err != nil {
			return nil, err
		}
		list = append(list, sysroot.Module{Name: name, Path: have[name], Depends: info.Depends, Soft: slices.ContainsFunc(slices.Concat(info.Pre, info.Post), func(soft string) bool { return have[soft] != "" }), Firmware: info.Firmware})
		todo = append(todo, info.Depends...)
	}
	return list, nil
}

// hookFirmware tells what firmware the root tree lacks, and has the hook copy what
// mkinitramfs leaves there: what is packed, and what a pattern stands for.
func (t *Tree) hookFirmware(kernel string, modules []sysroot.Module) error {
	if err := asksTooMuch(modules); err != nil {
		return err
	}
	for _, m := range modules {
		for _, name := range m.Firmware {
			found, err := sysroot.FindFirmware(t.Root, kernel, name)
			if err != nil {
				return fmt.Errorf("module %s: %w", m.Name, err)
			}
			if len(found) == 0 {
				t.tellFirmware(Firmware{m.Name, name, FirmwareMissing})
			}
			for _, f := range found {
				t.tellFirmware(Firmware{m.Name, f.Name, FirmwareAdded})
				if f.Name == name && path.Base(f.Path) == path.Base(name) {
					continue
				}
				if _, asIs, err := sysroot.ReadFirmware(t.Root, kernel, f); err != nil {
					return fmt.Errorf("module %s: %w", m.Name, err)
				} else if !asIs {
					t.addNote("module %s asks for firmware that this kernel cannot unpack: %s", m.Name, f.Path)
				} else if !toolName.MatchString(f.Path) {
					t.addNote("module %s asks for firmware that no hook can name: %s", m.Name, f.Path)
				} else if !slices.Contains(t.execs, "copy_exec /"+f.Path+" || exit 1") {
					t.copyExec(f.Path, "")
				}
			}
		}
	}
	return nil
}

// tellFirmware notes a file once, whichever kernels' modules ask for it.
func (t *Tree) tellFirmware(f Firmware) {
	if !slices.Contains(t.firmware, f) {
		t.firmware = append(t.firmware, f)
	}
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
