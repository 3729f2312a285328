package patches

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"groundhog/initrd/debian"
	"groundhog/patches/scripts"
)

// deviceName is an interface name that the kernel takes (dev_valid_name) and
// that is one plain word in shell.
var deviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`)

// noWayIn is names of interfaces that no machine is reached by: the loop, those that the kernel's modules for tunnels and the like make by themselves, and two
// names that the kernel gives to no interface (sysctl_dev_name_is_allowed).
var noWayIn = regexp.MustCompile(`^(lo|all|default|(dummy|ifb|nlmon|teql|sit|tunl|gre|gretap|ip6tnl|ip6gre)[0-9]+)$`)

// mayBeDevice reports whether an interface of that name may be the one that the machine is reached by.
func mayBeDevice(name string) bool { return deviceName.MatchString(name) && !noWayIn.MatchString(name) }

// checkInterface takes the name of an interface that somebody may come by.
func (o *Options) checkInterface() error {
	if o.Device != "" && !deviceName.MatchString(o.Device) {
		return fmt.Errorf("device %q: not the name of a network interface", o.Device)
	}
	if noWayIn.MatchString(o.Device) {
		return fmt.Errorf("device %q: no interface of that name leads to the machine, nobody could log in", o.Device)
	}
	return checkSeconds("interface timeout", o.InterfaceTimeout, time.Hour)
}

// networkInterface has the interface that is configured, or asked for, waited for
// before dropbear starts.
func (t *Archive) networkInterface() (string, error) {
	files := debian.SettingsFiles(t.Image)
	settings := t.facts().Server.Settings
	all := archiveScripts{t.Image}
	d, err := t.chooseDevice(settings, all, namedByScript(all), t.deviceBefore(settings))
	if err != nil {
		return "", err
	}
	if err := t.noteOlder(namedBy(settings)); err != nil {
		return "", err
	}
	if d.give {
		at, text, err := giveDevice(files, initramfsConf, d.value)
		if err != nil {
			return "", err
		}
		if at >= 0 {
			if err := t.editText(files[at].Name, func([]byte) ([]byte, error) { return text, nil }); err != nil {
				return "", err
			}
		}
		t.noteDoubt(t.facts().Settings, d)
	}
	if err := t.installScripts("interface"); err != nil {
		return "", err
	}
	if err := t.editText(premountScript, withNetwork); err != nil {
		return "", err
	}
	if err := t.setSetting("GROUNDHOG_DEVICE", d.ours); err != nil {
		return "", err
	}
	if err := t.setSetting("GROUNDHOG_INTERFACE_TIMEOUT", formatSeconds(t.opts.InterfaceTimeout)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, waited for up to %v", d.told, t.opts.InterfaceTimeout), nil
}

// deviceBefore is our scripts' setting of an earlier run. Where that says that nobody named an interface, and gave DEVICE its first name,
// somebody may have named one since, or in dropbear's configuration, to which earlier versions paid no heed.
func (t *Archive) deviceBefore(settings debian.Settings) string {
	before := t.readSetting("GROUNDHOG_DEVICE")
	if init := t.facts().Settings.Vars["DEVICE"].Value; before == anyDevice && init != "" && settings.Vars["DEVICE"].Value != firstDevice {
		return ""
	}
	return before
}

// noteOlder tells that the root tree names another interface than the archive, which was made before it did.
func (t *Archive) noteOlder(now namedDevice) error {
	if t.Root == nil || t.opts.Device != "" || now.doubt != "" {
		return nil
	}
	names, err := settingsNames(t.Root)
	if err != nil {
		return err
	}
	var files []debian.SourceFile
	for _, name := range names {
		text, err := fs.ReadFile(t.Root, name)
		if errors.Is(err, fs.ErrNotExist) { // a tree of a few .debs
			continue
		}
		if err != nil {
			return err
		}
		files = append(files, debian.SourceFile{Name: name, Text: text})
	}
	read := func(name string) ([]byte, error) {
		if name == t.version.ArchiveConfig {
			return fs.ReadFile(t.Root, t.version.RootConfig())
		}
		return nil, fs.ErrNotExist
	}
	if tree := namedBy(debian.ServerOf(t.version.Dropbear, files, read).Settings); tree.doubt == "" && tree.value != "" && tree.value != now.value {
		t.addNote("%s in the root tree names the interface %s by %s, and the archive %s: that of the archive is taken; update-initramfs makes one anew, and --device names it here",
			tree.from, quoteOdd(tree.value), tree.by, cmp.Or(now.value, "none"))
	}
	return nil
}

// noteDoubt tells that DEVICE could not be proven to be what it was given.
func (t *editTarget) noteDoubt(s debian.Settings, d deviceSettings) {
	if v, sure := s.Get("DEVICE"); !sure || v != d.value {
		t.addNote("what becomes of DEVICE only the machine can tell (%s); our scripts use %s", s.Doubt, d.ours)
	}
}

// networkInterface has the interface that is configured, or asked for, waited for.
func (t *Tree) networkInterface() (string, error) {
	files, err := t.settingsFiles()
	if err != nil {
		return "", err
	}
	all := treeScripts{t.Root}
	byOthers := cmp.Or(namedByScript(all), namedByHook(t.Root))
	d, err := t.chooseDevice(debian.ServerOf(t.version.Dropbear, files, t.willHave).Settings, all, byOthers, "")
	if err != nil {
		return "", err
	}
	if d.give {
		at, text, err := giveDevice(files, treeConf, d.value)
		if err != nil {
			return "", err
		}
		if at >= 0 {
			if err := t.undo.Edit(files[at].Name, nil, func([]byte) ([]byte, error) { return text, nil }); err != nil {
				return "", err
			}
			files[at].Text = text
			t.added = append(t.added, inArchive(files[at].Name))
		}
		t.noteDoubt(debian.SourceInInit(files), d)
	}
	t.noteModules(debian.SourceInInit(files))
	if err := t.installScripts("interface"); err != nil {
		return "", err
	}
	if err := t.undo.Edit(t.premount, pristinePremount, withNetwork); err != nil {
		return "", err
	}
	t.added = append(t.added, premountScript, scripts.Conf)
	if err := t.setSetting("GROUNDHOG_DEVICE", d.ours); err != nil {
		return "", err
	}
	err = t.setSetting("GROUNDHOG_INTERFACE_TIMEOUT", formatSeconds(t.opts.InterfaceTimeout))
	return fmt.Sprintf("%s, waited for up to %v", d.told, t.opts.InterfaceTimeout), err
}

// The main file of settings, in an archive and in a root tree.
const (
	initramfsConf = "conf/initramfs.conf"
	treeConf      = "etc/initramfs-tools/initramfs.conf"
)

// inArchive is where a file of settings goes.
func inArchive(name string) string {
	if name == treeConf {
		return initramfsConf
	}
	return "conf/conf.d/" + path.Base(name)
}

// settingsFiles is the settings as they are without us, in the order in which /init
// sources them: by the names that they have in the archive.
func (t *Tree) settingsFiles() ([]debian.SourceFile, error) {
	names, err := settingsNames(t.Root)
	if err != nil {
		return nil, err
	}
	var files []debian.SourceFile
	for _, name := range names {
		f, err := t.undo.Load(name, nil)
		if err != nil {
			return nil, err
		}
		files = append(files, debian.SourceFile{Name: name, Text: f.After})
	}
	return files, nil
}

// settingsNames is a root tree's files of settings, in the order in which /init sources their copies.
func settingsNames(root fs.FS) ([]string, error) {
	names, err := confFiles(root)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	return append([]string{treeConf}, names...), nil
}

// noteModules takes down a choice of modules that leaves network drivers out.
func (t *Tree) noteModules(s debian.Settings) {
	if v := s.Vars["MODULES"]; v.Value == "dep" || v.Value == "list" {
		t.leftOut = fmt.Sprintf("%s says MODULES=%s: unless the network driver is built in, or named with --module, it is left out", v.From, v.Value)
	}
}

// confName is the names that mkinitramfs takes from conf.d.
var confName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// confFiles is the further settings: those in usr/share unless etc has a file of
// the same name.
func confFiles(root fs.FS) ([]string, error) {
	byName := map[string]string{}
	for _, dir := range []string{toolsDir + "/conf.d/*", "etc/initramfs-tools/conf.d/*"} {
		names, err := fs.Glob(root, dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			byName[path.Base(name)] = name
		}
	}
	var all []string
	for base, name := range byName {
		info, err := fs.Stat(root, name)
		if err == nil && info.Mode().IsRegular() && confName.MatchString(base) && !strings.Contains(base, ".dpkg-") {
			all = append(all, name)
		}
	}
	return all, nil
}
