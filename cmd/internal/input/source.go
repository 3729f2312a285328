package input

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/output"
	"groundhog/initrd"
	"groundhog/initrd/debian/dpkg"
	"groundhog/manifest"
	"groundhog/patches/sysroot"
)

// Source is what groundhog makes a manifest of: an archive, a root tree or a manifest that was made before.
type Source struct {
	Manifest *manifest.Manifest
	Image    *initrd.Image // nil of a manifest and of a root tree
}

// ErrForeign says that a root tree has few of an archive's files: what it would be taken for would be wrong.
var ErrForeign = errors.New("the root tree is not the one that the archive was made in")

// Foreign is ErrForeign with figures, nil where most files of the source are in the root tree. A few .debs are no root tree.
func (s *Source) Foreign(root Layers) error {
	known, all := s.Manifest.Attributed()
	const least = 20 // files; of fewer nothing follows
	if s.Image == nil || all < least || known*2 >= all || !slices.ContainsFunc(root, func(l Layer) bool { return !l.Debs }) {
		return nil
	}
	return fmt.Errorf("%w: of %d files that are neither modules nor made by a tool, %d are in its packages", ErrForeign, all, known)
}

// Source tells by content what is at path: a manifest, an archive, or a
// root tree (a directory, or .deb files). Packages are added from root where
// one is given; a root tree brings its own. The file is read once: it may be a pipe.
func (in *Files) Source(path string, root Layers, maxSize int64) (*Source, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() && path != output.Stdio {
		return in.Tree(Layers{{path, hasDebs(path)}}, maxSize)
	}
	f, err := in.openEnding(path)
	if bad, ok := errors.AsType[*fs.PathError](err); ok {
		err = bad.Err // the path is said already
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	head, err := r.Peek(512)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("!<arch>\n")):
		return in.readPackage(path, r, maxSize)
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")):
		m, err := DecodeManifest(path, r, maxSize)
		return &Source{Manifest: m}, err
	}
	a, err := parseArchive(r, path, maxSize, skimReader(ForManifest))
	if err != nil {
		return nil, err
	}
	m, err := manifest.Of(a.Image)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	m.Archive.Name = ManifestName(path)
	s := &Source{m, a.Image}
	return s, s.attributeFrom(root, maxSize)
}

// readPackage describes the .deb that path names and r reads. Its parts are looked up in any order, so one that is
// no file of the file system is copied to where it is.
func (in *Files) readPackage(path string, r io.Reader, maxSize int64) (*Source, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && path != output.Stdio {
		return in.Tree(Layers{{path, true}}, maxSize)
	}
	f, err := os.CreateTemp("", "groundhog-*.deb")
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(r, maxSize+1))
	if err == nil && n > maxSize {
		err = hint.To(fmt.Errorf("more than %d bytes", maxSize), "if it really is that large, --max-size raises the limit")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return in.Tree(Layers{{f.Name(), true}}, maxSize)
}

func hasDebs(dir string) bool {
	found, err := sysroot.DebFiles(dir)
	return err == nil && len(found) > 0
}

// ManifestName is a file's name as a manifest can hold it; empty of one that has none.
func ManifestName(path string) string {
	if IsPipe(path) {
		return ""
	}
	return manifest.EscapePath(Name(path))
}

// manifestLimits bound a manifest by the size of what it describes.
func manifestLimits(maxSize int64) manifest.Limits {
	l := manifest.DefaultLimits
	return manifest.Limits{Bytes: min(l.Bytes, maxSize), Items: min(l.Items, mostItems(maxSize))}
}

// DecodeManifest reads the manifest of what may unpack to maxSize bytes; path is the name that r was opened by.
func DecodeManifest(path string, r io.Reader, maxSize int64) (*manifest.Manifest, error) {
	m, err := manifest.Decode(r, manifestLimits(maxSize))
	if err != nil {
		err = SizeHint(cutHint(fmt.Errorf("reading %s: %w", path, err)))
		if errors.Is(err, manifest.ErrNewer) {
			return nil, hint.To(err, "a newer groundhog reads it")
		}
	}
	return m, err
}

// ManifestText reads a manifest's file, of which at most as much counts as the manifest of maxSize bytes may have.
func (in *Files) ManifestText(path string, maxSize int64) ([]byte, error) {
	f, err := in.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, manifestLimits(maxSize).Bytes+1))
}

// Tree describes a root tree with the packages in it, if it has records.
func (in *Files) Tree(ls Layers, maxSize int64) (*Source, error) {
	tree, err := ls.openTree(maxSize)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	records, err := tree.Records()
	if err != nil {
		return nil, err
	}
	progress, end := in.Watched("reading " + Name(ls[0].Path))
	defer end()
	m, err := manifest.OfSystem(tree, records, progress)
	if err != nil {
		return nil, ReadHint(SizeHint(err))
	}
	return &Source{Manifest: m}, nil
}

// attributeFrom adds packages from the root tree; without layers there is none.
func (s *Source) attributeFrom(root Layers, maxSize int64) error {
	tree, err := root.openTree(maxSize)
	if err != nil || tree == nil {
		return err
	}
	defer tree.Close()
	if err = s.Attribute(tree); errors.Is(err, dpkg.ErrNone) {
		err = hint.To(err, "name the root tree that dpkg has installed packages in; without one it is done without packages")
	}
	return err
}

// Attribute adds the tree's packages and its system to the manifest of an archive.
func (s *Source) Attribute(tree *sysroot.Tree) error {
	m := s.Manifest
	if release, err := sysroot.Release(tree); err == nil {
		if m.Release == "" {
			m.Release = release.Codename
		}
		m.SetSystem(release.ID, release.Version)
	}
	records, err := tree.Records() // those of .deb files from the files themselves
	if err != nil {
		return err
	}
	return ReadHint(SizeHint(m.AttributeArchive(records, s.Image)))
}

// ReadHint is err with the way out where files of a root tree may not be read.
func ReadHint(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return hint.To(err, "run it as the user who made the root tree, as root, or in its user namespace")
	}
	return err
}
