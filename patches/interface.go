package patches

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/patches/scripts"
	"groundhog/patches/undo"
)

// networkInterface names the interface, and waits for it before dropbear
// starts.
func (t *Archive) networkInterface() (string, error) {
	if err := t.edit("conf/initramfs.conf", assign("DEVICE", t.opts.Device)); err != nil {
		return "", err
	}
	t.noteOverrides()
	if err := t.install("interface"); err != nil {
		return "", err
	}
	if err := t.edit(premount, lineBefore(startLine, scripts.NetworkLine)); err != nil {
		return "", err
	}
	if err := t.set("GROUNDHOG_DEVICE", t.opts.Device); err != nil {
		return "", err
	}
	if err := t.set("GROUNDHOG_INTERFACE_TIMEOUT", seconds(t.opts.InterfaceTimeout)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, waited for up to %v", t.opts.Device, t.opts.InterfaceTimeout), nil
}

// noteOverrides tells of a file that sets another DEVICE later than
// conf/initramfs.conf.
func (t *Archive) noteOverrides() {
	if v := debian.Read(t.Image).Settings.Vars["DEVICE"]; v.Value != t.opts.Device {
		t.note("%s says DEVICE=%q, which /init reads later; our scripts use %s", v.From, v.Value, t.opts.Device)
	}
}

// networkInterface names the interface, and has it waited for.
func (t *Tree) networkInterface() (string, error) {
	const conf = "etc/initramfs-tools/initramfs.conf"
	if err := t.undo.Edit(conf, nil, assign("DEVICE", t.opts.Device)); err != nil {
		return "", err
	}
	if err := t.noteConf(conf); err != nil {
		return "", err
	}
	if err := t.install("interface"); err != nil {
		return "", err
	}
	start := lineBefore(startLine, scripts.NetworkLine)
	if err := t.undo.Edit(path.Join(toolsDir, premount), pristinePremount, start); err != nil {
		return "", err
	}
	t.added = append(t.added, premount, "conf/initramfs.conf", scripts.Conf)
	if err := t.setting("GROUNDHOG_DEVICE", t.opts.Device); err != nil {
		return "", err
	}
	err := t.setting("GROUNDHOG_INTERFACE_TIMEOUT", seconds(t.opts.InterfaceTimeout))
	return fmt.Sprintf("%s, waited for up to %v", t.opts.Device, t.opts.InterfaceTimeout), err
}

// noteConf tells of settings that get in the way: a DEVICE that /init reads
// later than ours, and a choice of modules that leaves network drivers out.
func (t *Tree) noteConf(conf string) error {
	names, err := t.confFiles()
	if err != nil {
		return err
	}
	var files []debian.SourceFile
	for _, name := range append([]string{conf}, names...) {
		b, err := undo.ReadFile(t.Root, name)
		if err != nil {
			return err
		}
		files = append(files, debian.SourceFile{Name: name, Text: b})
	}
	settings := debian.Source(files)
	if v := settings.Vars["DEVICE"]; v.From != conf && v.From != "" && v.Value != t.opts.Device {
		t.note("%s says DEVICE=%q, which /init reads later; our scripts use %s", v.From, v.Value, t.opts.Device)
	}
	if v := settings.Vars["MODULES"]; v.Value == "dep" || v.Value == "list" {
		t.leftOut = fmt.Sprintf("%s says MODULES=%s: unless the network driver is built in, or named with --module, it is left out", v.From, v.Value)
	}
	return nil
}

// confFiles is the further settings, in the order in which mkinitramfs reads
// them: those in usr/share first, unless etc has a file of the same name.
func (t *Tree) confFiles() ([]string, error) {
	var all []string
	etc, err := fs.Glob(t.Root, "etc/initramfs-tools/conf.d/*")
	if err != nil {
		return nil, err
	}
	share, err := fs.Glob(t.Root, toolsDir+"/conf.d/*")
	if err != nil {
		return nil, err
	}
	for _, name := range share {
		if base := name[strings.LastIndex(name, "/"):]; !slices.ContainsFunc(etc, func(e string) bool { return strings.HasSuffix(e, base) }) {
			all = append(all, name)
		}
	}
	regular := func(name string) bool {
		info, err := fs.Stat(t.Root, name)
		return err == nil && info.Mode().IsRegular()
	}
	return slices.DeleteFunc(append(all, etc...), func(name string) bool { return !regular(name) }), nil
}
