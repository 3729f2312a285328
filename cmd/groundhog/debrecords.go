package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/blakesmith/ar"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"groundhog/patches/sysroot"
)

// A .deb that is laid over a root tree is unpacked, not installed: dpkg has no
// record of it. Its own control files say what such a record would.

const (
	dpkgInfo   = "var/lib/dpkg/info/"
	dpkgStatus = "var/lib/dpkg/status"
	maxControl = 64 << 20 // bytes of a package's control files
)

// recordFS is a root tree with further records of dpkg.
type recordFS struct {
	*sysroot.Tree
	records map[string][]byte
}

func (r recordFS) Open(name string) (fs.File, error) {
	if b, ok := r.records[name]; ok {
		return &recordFile{bytes.NewReader(b), name}, nil
	}
	return r.Tree.Open(name)
}

// recordFile is a record as a file that can be read.
type recordFile struct {
	*bytes.Reader
	name string
}

func (f *recordFile) Close() error               { return nil }
func (f *recordFile) Stat() (fs.FileInfo, error) { return recordInfo{f}, nil }

type recordInfo struct{ f *recordFile }

func (i recordInfo) Name() string       { return path.Base(i.f.name) }
func (i recordInfo) Size() int64        { return i.f.Reader.Size() }
func (i recordInfo) Mode() fs.FileMode  { return 0o444 }
func (i recordInfo) ModTime() time.Time { return time.Time{} }
func (i recordInfo) IsDir() bool        { return false }
func (i recordInfo) Sys() any           { return nil }

// debRecords is the records that dpkg would have of the .deb files among the
// layers; of two of one package the later counts, and it replaces the tree's.
func debRecords(tree fs.FS, ls layers) (map[string][]byte, error) {
	records := map[string][]byte{}
	stanzas := map[string]string{}
	for _, l := range ls {
		if !l.debs {
			continue
		}
		files, err := debFiles(l.path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if err := debRecord(file, records, stanzas); err != nil {
				return nil, fmt.Errorf("reading %s: %w", file, err)
			}
		}
	}
	if len(stanzas) == 0 {
		return nil, nil
	}
	var status strings.Builder
	old, err := fs.ReadFile(tree, dpkgStatus)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for stanza := range strings.SplitSeq(string(old), "\n\n") {
		if stanzas[field(stanza, "Package")+":"+field(stanza, "Architecture")] == "" && strings.TrimSpace(stanza) != "" {
			status.WriteString(strings.Trim(stanza, "\n") + "\n\n")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(stanzas)) {
		status.WriteString(stanzas[id] + "\n\n")
	}
	records[dpkgStatus] = []byte(status.String())
	return records, nil
}

func debFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name}, err
	}
	return filepath.Glob(filepath.Join(name, "*.deb"))
}

// debRecord adds what dpkg would note of one package.
func debRecord(file string, records map[string][]byte, stanzas map[string]string) error {
	control, err := debControl(file)
	if err != nil {
		return err
	}
	stanza := strings.Trim(string(control["control"]), "\n")
	name, arch := field(stanza, "Package"), field(stanza, "Architecture")
	if name == "" || arch == "" {
		return errors.New("control: no package or no architecture")
	}
	one, err := sysroot.Open(sysroot.Debs(file))
	if err != nil {
		return err
	}
	defer one.Close()
	var list strings.Builder
	err = fs.WalkDir(one, ".", func(p string, _ fs.DirEntry, err error) error {
		if p != "." {
			list.WriteString("/" + p + "\n")
		}
		return err
	})
	if err != nil {
		return err
	}
	base := dpkgInfo + name + ":" + arch
	records[base+".list"] = []byte(list.String())
	records[base+".md5sums"] = control["md5sums"]
	stanzas[name+":"+arch] = stanza + "\nStatus: install ok installed"
	return nil
}

// field is a field's value in a stanza of a control file, deb-control(5).
func field(stanza, name string) string {
	for line := range strings.Lines(stanza) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// debControl reads the control files of a package, deb(5).
func debControl(file string) (map[string][]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for r := ar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			return nil, fmt.Errorf("control.tar: %w", err)
		}
		suffix, ok := strings.CutPrefix(strings.TrimRight(strings.TrimSpace(h.Name), "/"), "control.tar")
		if !ok {
			continue
		}
		plain, err := decompress(suffix, r)
		if err != nil {
			return nil, fmt.Errorf("control.tar: %w", err)
		}
		return untar(io.LimitReader(plain, maxControl))
	}
}

func decompress(suffix string, r io.Reader) (io.Reader, error) {
	switch suffix {
	case "":
		return r, nil
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		return xz.NewReader(r, 0)
	case ".zst":
		return zstd.NewReader(r, zstd.WithDecoderMaxWindow(128<<20))
	}
	return nil, fmt.Errorf("compression %q: not one that dpkg uses", suffix)
}

func untar(r io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("control.tar: %w", err)
		}
		if h.Typeflag == tar.TypeReg {
			if files[path.Clean(h.Name)], err = io.ReadAll(tr); err != nil {
				return nil, fmt.Errorf("control.tar: %w", err)
			}
		}
	}
}
