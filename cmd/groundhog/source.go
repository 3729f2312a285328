package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/hint"
	"groundhog/initrd"
	"groundhog/initrd/debian/dpkg"
	"groundhog/manifest"
	"groundhog/patches/sysroot"
)

// trouble makes all that goes wrong in a verb exit code 2, as diff(1) does; 1
// says that the answer is no.
func trouble(cmd *cobra.Command, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) {
	two := func(err error) error {
		var code exitCode
		if err == nil || errors.As(err, &code) {
			return err
		}
		return exitCode{2, err}
	}
	cmd.Args = func(cmd *cobra.Command, a []string) error { return two(args(cmd, a)) }
	cmd.RunE = func(cmd *cobra.Command, a []string) error { return two(run(cmd, a)) }
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return two(err) })
}

// source is what a manifest is made of, or already is one.
type source struct {
	manifest *manifest.Manifest
	img      *initrd.Image // nil of a manifest and of a root tree
}

// readSource tells by content what is at path: a manifest, an archive, or a
// root tree (a directory, or .deb files). Packages are added from root where
// one is given; a root tree brings its own.
func readSource(path string, root layers, maxSize int64) (*source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the source: %w", err)
	}
	head := make([]byte, 512)
	if !info.IsDir() {
		if head, err = readHead(path, head); err != nil {
			return nil, fmt.Errorf("reading the source: %w", err)
		}
	}
	switch {
	case info.IsDir():
		return readTree(layers{{path, hasDebs(path)}}, maxSize)
	case bytes.HasPrefix(head, []byte("!<arch>\n")):
		return readTree(layers{{path, true}}, maxSize)
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")):
		m, err := readManifest(path, maxSize)
		return &source{manifest: m}, err
	}
	in, err := skimArchive(path, maxSize, nothing)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Of(in.img)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	m.Archive.Name = baseName(path)
	return &source{m, in.img}, attribute(m, root, maxSize)
}

func readHead(path string, b []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := io.ReadFull(f, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return b[:n], err
}

func hasDebs(dir string) bool {
	found, err := sysroot.DebFiles(dir)
	return err == nil && len(found) > 0
}

// baseName is a file's name as a manifest can hold it.
func baseName(path string) string { return manifest.EscapePath(filepath.Base(path)) }

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
func readTree(ls layers, maxSize int64) (*source, error) {
	tree, err := ls.open(maxSize)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	m, err := manifest.OfTree(tree)
	if err != nil {
		return nil, sizeHint(err)
	}
	if err := attributeTo(m, tree); !errors.Is(err, dpkg.ErrNone) {
		return &source{manifest: m}, err
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
	if _, codename, _, err := sysroot.Release(tree); err == nil && m.Release == "" {
		m.Release = codename
	}
	return attributeTo(m, tree)
}

// attributeTo takes the records of .deb files from the files themselves.
func attributeTo(m *manifest.Manifest, tree *sysroot.Tree) error {
	records, err := tree.Records()
	if err != nil {
		return err
	}
	return sizeHint(m.Attribute(records))
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
