package sysroot

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a control file says, its records lie among dpkg's.
func TestRecordsStayInPlace(t *testing.T) {
	for _, control := range []string{"Package: a\nArchitecture: all\nVersion: 1\n", "Package: ../x\nArchitecture: all\n", "Package: a\nArchitecture: ../../etc/x\n",
		"Package: a/b\nArchitecture: all\n", "Package: .\nArchitecture: .\n", "Package: a\n\nPackage: b\n", ""} {
		records, stanzas := map[string][]byte{}, map[string]string{}
		err := debRecord(Package{Control: []byte(control), Names: []string{"usr/bin/a"}}, records, stanzas)
		if (err == nil) != strings.HasPrefix(control, "Package: a\nArchitecture: all\n") {
			t.Errorf("%q: %v", control, err)
		}
		for at := range records {
			if !fs.ValidPath(at) || !strings.HasPrefix(at, dpkgInfo) || strings.Contains(at[len(dpkgInfo):], "/") {
				t.Errorf("%q: a record at %q", control, at)
			}
		}
	}
}

// A directory of packages whose name is a pattern is that directory.
func TestDebFilesInBrackets(t *testing.T) {
	dir := writeTree(t, t.TempDir(), map[string]string{"d[1]/a[b].deb": "x", "d[1]/c.txt": "y", "d1/other.deb": "z"})
	files, err := DebFiles(filepath.Join(dir, "d[1]"))
	if err != nil || len(files) != 1 || files[0] != filepath.Join(dir, "d[1]", "a[b].deb") {
		t.Errorf("%q, %v", files, err)
	}
}
