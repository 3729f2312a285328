package sysroot

import (
	"io/fs"
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
