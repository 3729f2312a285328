package sysroot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// A .deb that is laid over a root tree is unpacked, not installed: dpkg has no
// record of it. The records are made here, of its own control files.

const (
	dpkgInfo   = "var/lib/dpkg/info/"
	dpkgStatus = "var/lib/dpkg/status"
)

// recordTree is a root tree with further records of dpkg.
type recordTree struct {
	*Tree
	records map[string][]byte
}

func (r recordTree) Open(name string) (fs.File, error) {
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

// Records is the tree with the records that dpkg would have of the .deb files among
// its layers; of two of one package the later counts, and it replaces the tree's.
func (t *Tree) Records() (fs.FS, error) {
	records, err := t.debRecords()
	if err != nil || records == nil {
		return t, err
	}
	return recordTree{t, records}, nil
}

// debRecords is those records, by path.
func (t *Tree) debRecords() (map[string][]byte, error) {
	records := map[string][]byte{}
	stanzas := map[string]string{}
	for _, pkg := range t.Packages() {
		if err := debRecord(pkg, records, stanzas); err != nil {
			return nil, fmt.Errorf("reading %s: %w", pkg.File, err)
		}
	}
	if len(stanzas) == 0 {
		return nil, nil
	}
	names := map[string]bool{}
	for id := range stanzas {
		name, _, _ := strings.Cut(id, ":")
		names[name] = true
	}
	var status strings.Builder
	old, err := fs.ReadFile(t, dpkgStatus)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for stanza := range strings.SplitSeq(string(old), "\n\n") {
		name := strings.ToLower(controlField(stanza, "Package"))
		// One that was built for each architecture before may be for all now: dpkg keeps two of a name only where they are Multi-Arch: same.
		replaced := stanzas[name+":"+controlField(stanza, "Architecture")] != "" || names[name] && controlField(stanza, "Multi-Arch") != "same"
		if !replaced && strings.TrimSpace(stanza) != "" {
			status.WriteString(strings.Trim(stanza, "\n") + "\n\n")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(stanzas)) {
		status.WriteString(stanzas[id] + "\n\n")
	}
	records[dpkgStatus] = []byte(status.String())
	return records, nil
}

// debRecord adds what dpkg would note of one package.
func debRecord(pkg Package, records map[string][]byte, stanzas map[string]string) error {
	stanza := strings.Trim(string(pkg.Control), "\n")
	name, arch := strings.ToLower(controlField(stanza, "Package")), controlField(stanza, "Architecture")
	if !packageName(name) || !packageName(arch) {
		return errors.New("control: no package or no architecture, or none that dpkg would take")
	}
	if strings.Contains(stanza, "\n\n") {
		return errors.New("control: more than one paragraph")
	}
	var list strings.Builder
	for _, n := range pkg.Names {
		list.WriteString("/" + n + "\n")
	}
	base := dpkgInfo + name + ":" + arch
	records[base+".list"] = []byte(list.String())
	records[base+".md5sums"] = pkg.MD5Sums
	stanzas[name+":"+arch] = stanza + "\nStatus: install ok installed"
	return nil
}

// packageName accepts what dpkg takes for a package's or an architecture's name, so
// that it is part of no other path than ours.
func packageName(s string) bool {
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && len(s) <= 255 && strings.IndexByte(alnum, s[0]) >= 0 && strings.Trim(s, alnum+"+-._") == ""
}

// controlField is a field's value in a stanza of a control file, deb-control(5).
func controlField(stanza, name string) string {
	for line := range strings.Lines(stanza) {
		if field, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimRight(field, " \t"), name) { // deb822(5)
			return strings.TrimSpace(value)
		}
	}
	return ""
}
