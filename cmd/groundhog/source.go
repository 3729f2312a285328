package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"groundhog/cmd/internal/hint"
	"groundhog/initrd"
	"groundhog/manifest"
	"groundhog/patches/sysroot"
)

// source is what a manifest is made of, or already is one.
type source struct {
	manifest *manifest.Manifest
	img      *initrd.Image // nil of a manifest and of a root tree
}

// errForeign says that a root tree has few of an archive's files: what it would be taken for would be wrong.
var errForeign = errors.New("the root tree is not the one that the archive was made in")

// foreignTree is errForeign with figures, nil where most files are in the tree. A few .debs are no root tree.
func foreignTree(s *source, root layers) error {
	known, all := s.manifest.Attributed()
	const least = 20 // files; of fewer nothing follows
	if s.img == nil || all < least || known*2 >= all || !slices.ContainsFunc(root, func(l layer) bool { return !l.debs }) {
		return nil
	}
	return fmt.Errorf("%w: of %d files that are neither modules nor made by a tool, %d are in its packages", errForeign, all, known)
}

// readSource tells by content what is at path: a manifest, an archive, or a
// root tree (a directory, or .deb files). Packages are added from root where
// one is given; a root tree brings its own. The file is read once: it may be a pipe.
func (in *inputs) readSource(path string, root layers, maxSize int64) (*source, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() && path != stdio {
		return in.readTree(layers{{path, hasDebs(path)}}, maxSize)
	}
	f, err := in.openFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	head, err := r.Peek(512)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("!<arch>\n")):
		return in.readPackage(path, r, maxSize)
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")):
		m, err := decodeManifest(path, r, maxSize)
		return &source{manifest: m}, err
	}
	a, err := parseArchive(r, path, maxSize, skimming(nothing))
	if err != nil {
		return nil, err
	}
	m, err := manifest.Of(a.img)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	m.Archive.Name = baseName(path)
	return &source{m, a.img}, attribute(m, root, maxSize)
}

// readPackage describes the .deb that path names and r reads. Its parts are looked up in any order, so one that is
// no file of the file system is copied to where it is.
func (in *inputs) readPackage(path string, r io.Reader, maxSize int64) (*source, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && path != stdio {
		return in.readTree(layers{{path, true}}, maxSize)
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
	return in.readTree(layers{{f.Name(), true}}, maxSize)
}

func hasDebs(dir string) bool {
	found, err := sysroot.DebFiles(dir)
	return err == nil && len(found) > 0
}

// baseName is a file's name as a manifest can hold it; empty of one that has none.
func baseName(path string) string {
	name := fileName(path)
	if name == stdio {
		return ""
	}
	return manifest.EscapePath(name)
}

// readManifest reads a manifest's file.
func readManifest(path string, maxSize int64) (*manifest.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	defer f.Close()
	return decodeManifest(path, f, maxSize)
}

// manifestLimits bound a manifest by the size of what it describes.
func manifestLimits(maxSize int64) manifest.Limits {
	l := manifest.DefaultLimits
	return manifest.Limits{Bytes: min(l.Bytes, maxSize), Items: min(l.Items, mostItems(maxSize))}
}

func decodeManifest(path string, r io.Reader, maxSize int64) (*manifest.Manifest, error) {
	m, err := manifest.Decode(r, manifestLimits(maxSize))
	if err != nil {
		err = sizeHint(fmt.Errorf("reading %s: %w", path, err))
		if errors.Is(err, manifest.ErrNewer) {
			return nil, hint.To(err, "a newer groundhog reads it")
		}
	}
	return m, err
}

// readTree describes a root tree with the packages in it, if it has records.
func (in *inputs) readTree(ls layers, maxSize int64) (*source, error) {
	tree, err := ls.open(maxSize)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	records, err := tree.Records()
	if err != nil {
		return nil, err
	}
	progress, end := in.watched("reading " + fileName(ls[0].path))
	defer end()
	m, err := manifest.OfSystem(tree, records, progress)
	if err != nil {
		return nil, readHint(sizeHint(err))
	}
	return &source{manifest: m}, nil
}

// attribute adds packages from the root tree; without layers there is none.
func attribute(m *manifest.Manifest, root layers, maxSize int64) error {
	tree, err := root.open(maxSize)
	if err != nil || tree == nil {
		return err
	}
	defer tree.Close()
	return attributeAll(m, tree)
}

// attributeAll adds the tree's packages and its system.
func attributeAll(m *manifest.Manifest, tree *sysroot.Tree) error {
	if release, err := sysroot.Release(tree); err == nil {
		if m.Release == "" {
			m.Release = release.Codename
		}
		m.SetSystem(release.ID, release.Version)
	}
	return attributeTo(m, tree)
}

// attributeTo takes the records of .deb files from the files themselves.
func attributeTo(m *manifest.Manifest, tree *sysroot.Tree) error {
	records, err := tree.Records()
	if err != nil {
		return err
	}
	return readHint(sizeHint(m.Attribute(records)))
}

// readHint is err with the way out where files of a root tree may not be read.
func readHint(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return hint.To(err, "run it as the user who made the root tree, as root, or in its user namespace")
	}
	return err
}

// created is SOURCE_DATE_EPOCH (reproducible-builds.org) as RFC 3339, or "".
func created() (string, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return "", nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 253402300799 { // the year 9999
		return "", fmt.Errorf("SOURCE_DATE_EPOCH=%q: not seconds since 1970", text)
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339), nil
}
