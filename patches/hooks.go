package patches

import (
	"crypto/sha256"
	_ "embed" // the hook
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/debian/dropbear"
	"groundhog/patches/scripts"
	"groundhog/patches/sysroot"
)

// Where `groundhog hooks` puts what is its own. mkinitramfs(8) copies all of
// toolsDir/scripts into an archive, at any depth, and runs what is executable in
// toolsDir/hooks; what only a hook reads lies beside them.
const (
	dropbearHook = toolsDir + "/hooks/dropbear"
	ownHook      = toolsDir + "/hooks/groundhog"
	ownDir       = toolsDir + "/groundhog"
)

//go:embed hooks.sh
var hookScript []byte

// FileChange is one file of a root tree, before and after.
type FileChange struct {
	Path   string      // below the root, free of symbolic links
	Before []byte      // nil: there is no such file
	After  []byte      // nil: it is to be removed
	Mode   fs.FileMode // permission bits to have afterwards
	Like   string      // the file whose time of modification it takes, by path; "": now
}

// HooksReport is what [Hooks] would do. Nothing has been written: Keep has to be
// on the disk before any of Changes is made, because undoing them needs it.
type HooksReport struct {
	Build          string // the id of the archives to be built, lower-case hexadecimal
	Release        string
	Board          string
	Patches        []Applied    // Paths are files of the root tree
	Keep           []FileChange // below KeepDir: originals, and the state that names them
	Changes        []FileChange
	Notes          []string
	HostKeys       []*dropbear.HostKey
	AuthorizedKeys []dropbear.AuthorizedKey
}

// hooks is a root tree under work. Of the target it has no archive: only what
// reads the root tree may be used.
type hooks struct {
	*Target
	keeper  *keeper
	state   *hookState           // of an earlier run, or nil
	files   map[string]*hookFile // by resolved path
	names   map[string]string    // name asked for, resolved path
	execs   []string             // copy_exec lines of dropbear's hook
	touched []string             // of the patch at work: in the root tree
	added   []string             // of the patch at work: in the archive, as far as is known
	report  *HooksReport
	record  []Applied // Paths are those of the archive
}

// hookFile is a file at three times.
type hookFile struct {
	original []byte // without groundhog; nil: none
	current  []byte
	after    []byte
	mode     fs.FileMode
	nowMode  fs.FileMode // of current
}

// Hooks works out how the root tree's own update-initramfs(8) comes to build
// what [Apply] would make of its archive. The options count as a whole: what an
// earlier run changed and this one does not ask for goes back to its original.
// Only host keys are kept, and the authorized keys that are in the tree. tool
// names the program and its version in the record.
func Hooks(root fs.FS, layers []string, opts Options, tool string) (*HooksReport, error) {
	h, err := openHooks(root, layers, opts)
	if err != nil {
		return nil, err
	}
	for _, p := range hookPatches {
		h.touched, h.added = nil, nil
		summary, err := p.apply(h)
		if err != nil {
			return nil, fmt.Errorf("patch %s: %w", p.name, err)
		}
		if summary == "" {
			continue // not asked for
		}
		slices.Sort(h.touched)
		slices.Sort(h.added)
		h.report.Patches = append(h.report.Patches, Applied{Name: p.name, Summary: summary, Paths: h.touched})
		h.record = append(h.record, Applied{Name: p.name, Summary: summary, Paths: h.added})
	}
	if err := h.finish(tool); err != nil {
		return nil, err
	}
	h.report.Notes = h.notes
	return h.report, nil
}

// openHooks refuses what is no root tree of a supported release with
// initramfs-tools and dropbear-initramfs in it.
func openHooks(root fs.FS, layers []string, opts Options) (*hooks, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	h := &hooks{Target: &Target{Root: root, Layers: layers, opts: opts},
		files: map[string]*hookFile{}, names: map[string]string{}}
	h.Release = opts.Release
	if h.Release == "" {
		id, codename, version, err := sysroot.Release(root)
		if err != nil {
			return nil, fmt.Errorf("%w (--release names it)", err)
		}
		if h.Release, err = h.supported(id, codename, version); err != nil {
			return nil, err
		}
	}
	var err error
	if h.version, err = dropbear.ForRelease(h.Release); err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, pkg string }{
		{"etc/initramfs-tools/initramfs.conf", "initramfs-tools"},
		{dropbearHook, "dropbear-initramfs"},
		{path.Join(toolsDir, premount), "dropbear-initramfs"},
		{"usr/sbin/dropbear", "dropbear-bin"},
		{"usr/bin/busybox", "busybox"},
	} {
		if _, err := h.need(f.name, f.pkg); err != nil {
			return nil, err
		}
	}
	h.report = &HooksReport{Release: h.Release, Board: h.opts.Board}
	if h.keeper, err = openKeeper(root); err != nil {
		return nil, err
	}
	if h.state, err = h.keeper.read(); err != nil {
		return nil, err
	}
	_, err = h.load(dropbearHook, pristineHook)
	return h, err
}

// need finds what a package of the root tree has to have brought.
func (h *hooks) need(name, pkg string) (string, error) {
	found, err := h.find(name)
	if err != nil {
		return "", fmt.Errorf("%w: install %s there", err, pkg)
	}
	return found, nil
}

// buildID names what the tree's archives are built from: 16 hexadecimal digits
// of a SHA-256 over all that groundhog put there.
func (h *hooks) buildID() string {
	sum := sha256.New()
	for _, at := range h.paths() {
		f := h.files[at]
		if at == h.names[ownDir+"/patches.json"] || f.after == nil {
			continue // the record will hold the id
		}
		content := sha256.Sum256(f.after)
		fmt.Fprintf(sum, "%q %o %x\n", at, f.mode, content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// install puts our own scripts where mkinitramfs finds them.
func (h *hooks) install(names ...string) error {
	for _, f := range scripts.Files() {
		base := path.Base(f.Path)
		if !slices.Contains(names, base) {
			continue
		}
		at := path.Join(toolsDir, f.Path)
		if path.Dir(f.Path) != scripts.Dir { // a command: the hook puts it in its place
			at = path.Join(ownDir, strings.TrimPrefix(base, "groundhog-"))
		}
		if err := h.own(at, 0o644, f.Data); err != nil {
			return err
		}
		h.added = append(h.added, f.Path)
	}
	return nil
}
