package patches

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

// toolsDir is where initramfs-tools keeps its scripts in a root tree.
const toolsDir = "usr/share/initramfs-tools"

const (
	premountScript = "scripts/init-premount/dropbear"
	bottomScript   = "scripts/init-bottom/dropbear"
)

// graftedHome is root's home in a grafted archive. Debian's hook makes up a name so
// that it cannot be $rootmnt; ours cannot either, and is the same every time.
const graftedHome = "root-groundhog"

// graftDropbear puts in what Debian's own hook would: the server with its
// libraries, its scripts with their ORDER lines, accounts, configuration and
// busybox.
func (t *Archive) graftDropbear() (string, error) {
	if _, ok := t.Image.Resolve("sbin/dropbear"); ok {
		supplied, err := t.supplyCommands()
		if err != nil {
			return "", err
		}
		return "in the archive already" + supplied, t.checkDropbear()
	}
	libs, err := t.copyExec("usr/sbin/dropbear", "sbin/dropbear")
	if err != nil {
		return "", err
	}
	if err := t.copyNSS("libnss_files.so.2"); err != nil {
		return "", err
	}
	for _, script := range []string{premountScript, bottomScript} {
		if err := t.graftScript(script); err != nil {
			return "", err
		}
	}
	if err := t.graftAccounts(); err != nil {
		return "", err
	}
	if err := t.graftConfig(); err != nil {
		return "", err
	}
	names, err := t.graftBusybox()
	if err != nil {
		return "", err
	}
	supplied, err := t.supplyCommands()
	return fmt.Sprintf("grafted from the root tree, with %d libraries and %d names of busybox%s", libs, names, supplied), err
}

// checkDropbear refuses an archive that has the server but not what starts it.
func (t *Archive) checkDropbear() error {
	for _, name := range []string{premountScript, "etc/passwd", "bin/sh"} {
		if _, ok := t.Image.Resolve(name); !ok {
			return fmt.Errorf("the archive has sbin/dropbear but no %s", name)
		}
	}
	return nil
}

// graftScript copies a boot script and has its directory's ORDER run it.
func (t *Archive) graftScript(name string) error {
	src, err := t.findInTree(path.Join(toolsDir, name))
	if err != nil {
		return fmt.Errorf("%w (is dropbear-initramfs in it?)", err)
	}
	data, err := fs.ReadFile(t.Root, src)
	if err != nil {
		return err
	}
	if there, err := t.Image.ReadFile(name); !errors.Is(err, fs.ErrNotExist) && !bytes.Equal(there, data) {
		return fmt.Errorf("%s: in the archive without dropbear, something else made it", name)
	}
	if err := t.putEntry(name, initrd.TypeFile|0o755, data); err != nil {
		return err
	}
	return t.editGenerated(path.Join(path.Dir(name), "ORDER"), func(order []byte) ([]byte, error) { return orderWith(order, "/"+name), nil })
}

// paramLine is the line that stands behind each script in an ORDER file.
const paramLine = "[ -e /conf/param.conf ] && . /conf/param.conf\n"

// orderLast puts script behind all others in an ORDER file.
func orderLast(order []byte, script string) []byte {
	line := script + " \"$@\"\n"
	if at := bytes.LastIndex(order, []byte("/scripts/")); at >= 0 && string(order[at:]) == line+paramLine {
		return order
	}
	order = bytes.ReplaceAll(order, []byte(line+paramLine), nil)
	return slices.Concat(endLine(order), []byte(line+paramLine))
}

// orderWith adds script to an ORDER file: two lines, among the others by name,
// where cache_run_scripts of initramfs-tools puts a script without
// prerequisites.
func orderWith(order []byte, script string) []byte {
	lines := slices.Collect(strings.Lines(string(order)))
	at := len(lines)
	if at > 0 && !strings.HasSuffix(lines[at-1], "\n") {
		lines[at-1] += "\n"
	}
	for i, l := range lines {
		name, args, _ := strings.Cut(l, " ")
		if strings.HasPrefix(name, "/scripts/") && strings.HasPrefix(args, `"$@"`) {
			if name == script {
				return order
			}
			if name > script && i < at {
				at = i
			}
		}
	}
	return []byte(strings.Join(slices.Insert(lines, at, script+" \"$@\"\n", paramLine), ""))
}

// graftAccounts makes root known to the libc, with a home that is not $rootmnt.
func (t *Archive) graftAccounts() error {
	for _, dir := range []string{graftedHome, graftedHome + "/.ssh"} {
		if err := t.putEntry(dir, initrd.TypeDir|0o700, nil); err != nil {
			return err
		}
	}
	files := []struct{ name, text string }{
		{"etc/nsswitch.conf", "passwd: files\ngroup: files\n"},
		{"etc/passwd", "root:*:0:0::/" + graftedHome + ":/bin/sh\n"},
		{"etc/group", "root:!:0:\n"},
	}
	for _, f := range files {
		if _, ok := t.Image.Resolve(f.name); ok {
			return fmt.Errorf("%s: in the archive without dropbear, something else made it", f.name)
		}
		if err := t.putGenerated(f.name, []byte(f.text)); err != nil {
			return err
		}
	}
	return nil
}

// graftConfig copies the configuration, where the root tree has one and the archive has none.
func (t *Archive) graftConfig() error {
	if _, ok := t.Image.Resolve(t.version.ArchiveConfig); ok {
		return nil
	}
	conf, err := t.readOptional(t.version.RootConfig())
	if err != nil || conf == nil {
		return err
	}
	return t.putGenerated(t.version.ArchiveConfig, conf)
}

// copyNSS copies a module of the name service switch, which programs open by
// name. glibc 2.34 and later have it built in, and then it may be missing.
func (t *Archive) copyNSS(so string) error {
	var dirs []string
	if m, ok := debian.MachineNamed(t.Arch); ok {
		dirs = append(dirs, "usr/lib/"+m.Triplet+"/"+so, "lib/"+m.Triplet+"/"+so)
	}
	dirs = append(dirs, "usr/lib/"+so)
	found, err := sysroot.Find(t.Root, dirs...)
	if err != nil {
		if t.version.NeedsNSSDNS {
			return &sysroot.NotFound{Name: dirs[0], Layers: t.Layers}
		}
		return nil
	}
	real, err := sysroot.Resolve(t.Root, found)
	if err != nil {
		return err
	}
	libs, err := t.copyLibraries(real)
	if err != nil {
		return err
	}
	if err := t.copyLibrary(sysroot.File{Name: found, Path: sysroot.Named(t.Root, real)}); err != nil {
		return err
	}
	return t.checkVersions(found, libs)
}
