package sysroot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd/debian"
)

// Firmware is a file that a module asks the kernel for.
type Firmware struct {
	Name string // as it is asked for, below one of the directories of [FirmwarePaths]
	Path string // in the tree, perhaps with .zst or .xz
}

// firmwareName reports whether a name out of a module can be one of firmware: it
// is made part of a path.
func firmwareName(s string) bool {
	return len(s) <= 1024 && fs.ValidPath(s) && s != "." && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' })
}

// FirmwarePaths is where the kernel looks for firmware, best first
// (drivers/base/firmware_loader/main.c): plain in all directories, then packed. A
// name may be a pattern of glob(7), as some modules have them.
func FirmwarePaths(kernel, name string) []string {
	var all []string
	for _, suffix := range []string{"", ".zst", ".xz"} {
		for _, dir := range []string{"updates/" + kernel, "updates", kernel, "."} {
			all = append(all, path.Join("lib/firmware", dir, name+suffix))
		}
	}
	return all
}

// FindFirmware looks in a tree for what the kernel with that release is asked for, by a name or a
// pattern. What is not there gives none.
func FindFirmware(fsys fs.FS, kernel, name string) ([]Firmware, error) {
	names := []string{name}
	if strings.ContainsAny(name, "*?[") {
		var err error
		if names, err = matchFirmware(fsys, kernel, name); err != nil {
			return nil, fmt.Errorf("firmware %s: %w", showName(name), err)
		}
	}
	var all []Firmware
	for _, n := range names {
		at, err := Find(fsys, FirmwarePaths(kernel, n)...)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("firmware %s: %w", showName(n), err)
		}
		all = append(all, Firmware{n, at})
	}
	return all, nil
}

// maxFirmwareNames is at how many names of files a pattern is held: links can make of a few directories any number.
const maxFirmwareNames = 1 << 16

// matchNames is as [fs.Glob] of a pattern in a tree, and goes no further than that many names.
func matchNames(fsys fs.FS, pattern string, left *int) (found []string, err error) {
	found = []string{"."}
	for part := range strings.SplitSeq(pattern, "/") {
		var deeper []string
		for _, dir := range found {
			if !strings.ContainsAny(part, `*?[`) {
				deeper = append(deeper, path.Join(dir, part))
				continue
			}
			list, _ := fs.ReadDir(fsys, dir)
			if *left -= len(list) + 1; *left < 0 {
				return nil, fmt.Errorf("more than %d names to hold against the pattern", maxFirmwareNames)
			}
			for _, e := range list {
				if ok, _ := path.Match(part, e.Name()); ok {
					deeper = append(deeper, path.Join(dir, e.Name()))
				}
			}
		}
		found = deeper
	}
	return slices.DeleteFunc(found, func(name string) bool { _, err := fs.Stat(fsys, name); return err != nil }), nil
}

// matchFirmware is the names that a pattern stands for; a bad one stands for none.
func matchFirmware(fsys fs.FS, kernel, pattern string) ([]string, error) {
	var names []string
	left := maxFirmwareNames
	for _, p := range FirmwarePaths(kernel, pattern) {
		for _, p := range []string{p, debian.UsrTwin(p)} {
			found, err := matchNames(fsys, p, &left)
			if err != nil {
				return nil, err
			}
			for _, f := range found {
				f = strings.TrimPrefix(strings.TrimPrefix(f, "usr/"), "lib/firmware/")
				f = strings.TrimPrefix(strings.TrimPrefix(f, "updates/"), kernel+"/")
				names = append(names, strings.TrimSuffix(strings.TrimSuffix(f, ".zst"), ".xz"))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// ReadFirmware is the content of a file of firmware, and whether the kernel takes
// it as it is: if it is packed and this kernel knows no such form, what it
// unpacks to is returned.
func ReadFirmware(fsys fs.FS, kernel string, f Firmware) (content []byte, asIs bool, err error) {
	b, err := readRegular(fsys, f.Path, fileLimit)
	if err != nil {
		return nil, false, err
	}
	if path.Base(f.Path) == path.Base(f.Name) || unpacksFirmware(fsys, kernel, path.Ext(f.Path)) {
		return b, true, nil
	}
	plain, err := unpackBytes(b, fileLimit)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", showName(f.Path), err)
	}
	return plain, false, nil
}

// unpacksFirmware reports whether the kernel takes firmware packed like that: by its
// configuration, or where that is not in the tree, by its version. Until 5.18
// FW_LOADER_COMPRESS meant xz.
func unpacksFirmware(fsys fs.FS, kernel, suffix string) bool {
	first, option := [2]int{5, 3}, "CONFIG_FW_LOADER_COMPRESS_XZ"
	if suffix == ".zst" {
		first, option = [2]int{5, 19}, "CONFIG_FW_LOADER_COMPRESS_ZSTD"
	}
	version := kernelNumbers(kernel)
	if slices.Compare(version[:], first[:]) < 0 {
		return false
	}
	if slices.Compare(version[:], []int{5, 19}) < 0 {
		option = "CONFIG_FW_LOADER_COMPRESS"
	}
	config, err := readRegular(fsys, "boot/config-"+kernel, 16<<20)
	return err != nil || slices.Contains(strings.Split(string(config), "\n"), option+"=y")
}

// kernelNumbers is the first two numbers of a kernel's release.
func kernelNumbers(release string) (n [2]int) {
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n[0], _ = strconv.Atoi(major)
	n[1], _ = strconv.Atoi(strings.TrimRight(strings.SplitN(minor, "-", 2)[0], "abcdefghijklmnopqrstuvwxyz+~"))
	return n
}

// BuiltinInfo is a field of the drivers in a kernel ("firmware", "alias"), by module, from its modules.builtin.modinfo (Linux 5.2
// and later): fields "module.key=value", each ended by a NUL.
func BuiltinInfo(text, key string) map[string][]string {
	all := map[string][]string{}
	for field := range strings.SplitSeq(text, "\x00") {
		name, value, _ := strings.Cut(field, "=")
		if module, ok := strings.CutSuffix(name, "."+key); ok {
			all[moduleName(module)] = append(all[moduleName(module)], value)
		}
	}
	return all
}

// builtinFirmware is what those drivers ask for.
func builtinFirmware(text string) map[string][]string {
	all := BuiltinInfo(text, "firmware")
	for module, names := range all {
		all[module] = slices.DeleteFunc(names, func(name string) bool { return !firmwareName(name) })
	}
	return all
}
