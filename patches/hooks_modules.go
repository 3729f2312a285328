package patches

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

// modules lists the modules in etc/initramfs-tools/modules: mkinitramfs copies
// them with what they need, and has /init load them.
func (h *hooks) modules() (string, error) {
	if len(h.opts.Modules) == 0 {
		return "", nil
	}
	if err := h.checkModules(); err != nil {
		return "", err
	}
	err := h.edit("etc/initramfs-tools/modules", nil, listedModules(h.opts.Modules))
	h.added = append(h.added, modulesList)
	return strings.Join(h.opts.Modules, ", "), err
}

// checkModules wants a kernel that has all the modules, and tells of others
// that have not: mkinitramfs would say nothing.
func (h *hooks) checkModules() error {
	const dir = "lib/modules"
	list, err := fs.ReadDir(h.Root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		list, err = fs.ReadDir(h.Root, "usr/"+dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var lacking []error
	kernels := 0
	for _, e := range list {
		if !e.IsDir() {
			continue
		}
		kernel, err := sysroot.OpenModules(h.Root, e.Name())
		if err != nil {
			return err
		}
		kernels++
		if _, err := kernel.Needs(h.opts.Modules...); err != nil {
			lacking = append(lacking, err)
		}
	}
	switch {
	case kernels == 0:
		return fmt.Errorf("module %s: no kernel in %s of the root tree, install a linux-image package there", h.opts.Modules[0], dir)
	case len(lacking) == kernels:
		return lacking[0]
	}
	for _, err := range lacking {
		h.note("%v", err)
	}
	return nil
}

// noteConf tells of settings that get in the way: a DEVICE that /init reads
// later than ours, and a choice of modules that leaves network drivers out.
func (h *hooks) noteConf(conf string) error {
	names, err := h.confFiles()
	if err != nil {
		return err
	}
	var files []debian.SourceFile
	for _, name := range append([]string{conf}, names...) {
		at, err := place(h.Root, name)
		if err != nil {
			return err
		}
		f, err := readHookFile(h.Root, at)
		if err != nil {
			return err
		}
		files = append(files, debian.SourceFile{Name: name, Text: f.current})
	}
	settings := debian.Source(files)
	if v := settings.Vars["DEVICE"]; v.From != conf && v.From != "" && v.Value != h.opts.Device {
		h.note("%s says DEVICE=%q, which /init reads later; our scripts use %s", v.From, v.Value, h.opts.Device)
	}
	if v := settings.Vars["MODULES"]; v.Value == "dep" || v.Value == "list" {
		h.note("%s says MODULES=%s: unless the network driver is built in, or named with --module, it is left out", v.From, v.Value)
	}
	return nil
}

// confFiles is the further settings, in the order in which mkinitramfs reads
// them: those in usr/share first, unless etc has a file of the same name.
func (h *hooks) confFiles() ([]string, error) {
	var all []string
	etc, err := fs.Glob(h.Root, "etc/initramfs-tools/conf.d/*")
	if err != nil {
		return nil, err
	}
	share, err := fs.Glob(h.Root, toolsDir+"/conf.d/*")
	if err != nil {
		return nil, err
	}
	for _, name := range share {
		if base := name[strings.LastIndex(name, "/"):]; !slices.ContainsFunc(etc, func(e string) bool { return strings.HasSuffix(e, base) }) {
			all = append(all, name)
		}
	}
	regular := func(name string) bool {
		info, err := fs.Stat(h.Root, name)
		return err == nil && info.Mode().IsRegular()
	}
	return slices.DeleteFunc(append(all, etc...), func(name string) bool { return !regular(name) }), nil
}
