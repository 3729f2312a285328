package patches

import (
	"crypto/sha256"
	_ "embed" // the hook
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"groundhog/patches/scripts"
	"groundhog/patches/sysroot"
	"groundhog/patches/undo"
)

// Where `groundhog hooks` puts what is its own. mkinitramfs(8) copies all of
// toolsDir/scripts into an archive, at any depth, and runs what is executable in
// toolsDir/hooks; what only a hook reads lies beside them.
const (
	dropbearHook = toolsDir + "/hooks/dropbear"
	ownHook      = toolsDir + "/hooks/groundhog"
	ownDir       = toolsDir + "/groundhog"
	recordFile   = ownDir + "/patches.json" // what our hook copies to [manifest.RecordPath]
)

//go:embed hooks.sh
var hookScript []byte

// HooksReport is what [Hooks] would do. Nothing has been written: Keep has to be
// on the disk before any of Changes is made, because undoing them needs it.
type HooksReport struct {
	Done                  // Paths are files of the root tree; firmware that is "added" is what update-initramfs will add
	Keep    []undo.Change // below [undo.KeepDir]: originals, and the state that names them
	Changes []undo.Change
}

// Tree is a root tree under work.
type Tree struct {
	editTarget
	undo *undo.Tree
	// premount is dropbear's boot script: the package's, or the owner's own in its place.
	premount string
	execs    []string // copy_exec lines of dropbear's hook
	added    []string // by the patch at work: paths in the archive to be built, as far as is known
	report   *HooksReport
	record   []Applied // Paths are those of the archive
	// leftOut says that mkinitramfs takes no network driver but those that are named; "" where it does, or one is.
	leftOut string
}

// Hooks works out how the root tree's own update-initramfs(8) comes to build
// what [Apply] would make of its archive. The options count as a whole: what an
// earlier run changed and this one does not ask for goes back to its original.
// Only host keys are kept, and the authorized keys that are in the tree. tool
// names the program and its version in the record.
func Hooks(root fs.FS, layers []string, opts Options, tool string) (*HooksReport, error) {
	t, err := openTree(root, layers, opts)
	if err != nil {
		return nil, err
	}
	for _, p := range All() {
		if p.Tree == nil {
			continue
		}
		t.undo.Touched, t.added = nil, nil
		summary, err := p.Tree(t)
		if err != nil {
			return nil, fmt.Errorf("patch %s: %w", p.Name, err)
		}
		if summary == "" {
			continue // not asked for
		}
		slices.Sort(t.undo.Touched)
		slices.Sort(t.added)
		t.report.Patches = append(t.report.Patches, Applied{Name: p.Name, Summary: summary, Paths: t.undo.Touched})
		t.record = append(t.record, Applied{Name: p.Name, Summary: summary, Paths: slices.Compact(t.added)})
	}
	t.noteScripts()
	if t.leftOut != "" {
		t.addNote("%s", t.leftOut)
	}
	return t.report, t.finishChanges(tool)
}

// openTree refuses what is no root tree of a supported release with
// initramfs-tools and dropbear-initramfs in it.
func openTree(root fs.FS, layers []string, opts Options) (*Tree, error) {
	if err := opts.checkOptions(); err != nil {
		return nil, err
	}
	t := &Tree{editTarget: editTarget{Root: root, Layers: layers, Release: opts.Release, opts: opts}}
	if err := t.checkPlaces(); err != nil {
		return nil, err
	}
	if t.Release == "" {
		release, err := sysroot.Release(root)
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		} else if err != nil {
			return nil, fmt.Errorf("%w (--release names it)", err)
		}
		if t.Release, err = t.supportedRelease(release); err != nil {
			return nil, err
		}
	}
	has, err := t.rootPackages()
	if err != nil {
		return nil, err
	}
	if err := t.setVersion(t.rootDropbear(has), has.tools, treeAnchors, t.readOptional); err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, pkg string }{
		{"etc/initramfs-tools/initramfs.conf", "initramfs-tools"},
		{dropbearHook, "dropbear-initramfs"},
		{path.Join(toolsDir, premountScript), "dropbear-initramfs"},
		{"usr/sbin/dropbear", "dropbear-bin"},
		{"usr/bin/busybox", "busybox"},
	} {
		if err := t.needFile(f.name, f.pkg); err != nil {
			return nil, err
		}
	}
	t.report = &HooksReport{Done: Done{Release: t.Release, System: t.System, Board: t.opts.Board}}
	if t.undo, err = undo.Open(root); err != nil {
		return nil, err
	}
	t.undo.Of = t.Release
	t.premount = path.Join(toolsDir, premountScript)
	if own := path.Join(scriptDirs[0], "init-premount/dropbear"); isPlainFile(root, own) {
		t.premount = own
		t.addNote("%s takes the place of %s in the initramfs: it is what is changed", own, path.Join(toolsDir, premountScript))
	}
	if err := t.checkOwnersScripts(); err != nil {
		return nil, err
	}
	if err := t.openSettings(); err != nil {
		return nil, err
	}
	_, err = t.undo.Load(dropbearHook, pristineHook)
	return t, err
}

// isPlainFile reports whether name is a file itself, and no link: mkinitramfs takes no other of the owner's scripts.
func isPlainFile(root fs.FS, name string) bool {
	info, err := fs.Stat(root, name)
	_, link := fs.ReadLink(root, name)
	return err == nil && info.Mode().IsRegular() && link != nil
}

// finishChanges names the build, writes the record and turns everything into changes.
func (t *Tree) finishChanges(tool string) error {
	r := t.report
	r.Build = t.buildID()
	if err := t.setSetting("GROUNDHOG_BUILD", r.Build); err != nil {
		return err
	}
	if err := t.putRecord(tool); err != nil {
		return err
	}
	var err error
	if r.Keep, r.Changes, err = t.undo.Finish(r.Build); err != nil {
		return err
	}
	for i := range r.Patches {
		a := &r.Patches[i]
		a.Changed = slices.ContainsFunc(r.Changes, func(c undo.Change) bool { return slices.Contains(a.Paths, c.Path) })
	}
	r.Notes, r.Firmware = append(t.notes, t.undo.Notes...), t.firmware
	return nil
}

// needFile refuses a root tree without a file that a package has to have brought.
func (t *Tree) needFile(name, pkg string) error {
	if _, err := t.findInTree(name); err != nil {
		return fmt.Errorf("%w: install %s there", err, pkg)
	}
	return nil
}

// buildID names what the tree's archives are built from: 16 hexadecimal digits
// of a SHA-256 over all that groundhog put there.
func (t *Tree) buildID() string {
	sum := sha256.New()
	for _, at := range t.undo.Paths() {
		f := t.undo.File(at)
		if at == t.undo.At(recordFile) || f.After == nil {
			continue // the record will hold the id
		}
		content := sha256.Sum256(f.After)
		fmt.Fprintf(sum, "%q %o %x\n", at, f.Mode, content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// installScripts puts a patch's scripts where mkinitramfs finds them.
func (t *Tree) installScripts(patch string) error {
	for _, f := range scripts.Of(patch) {
		at, mode := path.Join(toolsDir, f.Path), f.Mode
		if !strings.HasPrefix(f.Path, "scripts/") { // a command: the hook puts it in its place
			at, mode = path.Join(ownDir, strings.TrimPrefix(path.Base(f.Path), "groundhog-")), 0o644
		}
		if err := t.putOwn(at, mode, f.Data); err != nil {
			return err
		}
		t.added = append(t.added, f.Path)
	}
	return nil
}
