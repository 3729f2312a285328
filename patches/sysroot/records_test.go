package sysroot

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/initrd/debian/dpkg"
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

// dpkg judges: what it notes of packages with odd names and fields is what is read of them, from its own records and from the packages, which replace others
// of their names as with dpkg.
func TestRecordsAsDpkgHasThem(t *testing.T) {
	tool := judge.Tool(t, "dpkg")
	const end = "Maintainer: Nobody <nobody@example.org>\nDescription: test\n"
	packed := func(control string) string {
		return writeDeb(t, archive(t, member{"debian-binary", []byte("2.0\n")}, member{"control.tar", tarball(t, directory("./"), regular("./control", control+end))},
			member{"data.tar", tarball(t, directory("./"), regular("./f"+control[len(control)-3:len(control)-1], ""))}))
	}
	dir := writeTree(t, t.TempDir(), map[string]string{"var/lib/dpkg/status": "", "var/lib/dpkg/info": "/", "var/lib/dpkg/updates": "/", "var/lib/dpkg/triggers": "/"})
	install := func(pkg string) {
		run(t, tool, "--force-not-root", "--force-bad-path", "--force-architecture", "--force-depends", "--admindir="+dir+"/var/lib/dpkg", "--instdir="+dir, "--unpack", pkg)
	}
	told := func(root fs.FS) string {
		var all []string
		for _, p := range judge.Value(dpkg.Read(root))(t).Packages {
			all = append(all, fmt.Sprint(p.Name, p.Version, p.Architecture, p.Depends, p.Source, p.SourceVersion))
		}
		slices.Sort(all)
		return strings.Join(all, "\n")
	}
	for _, control := range []string{"Package: p\nArchitecture: all\nVersion: 1-a1\n", "Package: my_Tool\nArchitecture: all\nDepends: Other_1 (>= 2), p\nVersion: 1-a2\n",
		"package: small\nARCHITECTURE: all\nSource: a/b of us\nversion: 1-a3\n"} {
		install(packed(control))
	}
	before := told(open(t, Dir(dir)))
	if strings.Count(before, "\n") != 2 || !strings.Contains(before, "my_tool1-a2all[{other_1 >= 2}") {
		t.Errorf("of dpkg's records: %s", before)
	}
	var layers []Layer
	copied := writeTree(t, t.TempDir(), map[string]string{"var/lib/dpkg/info": "/"})
	judge.Must(t, os.CopyFS(copied+"/var/lib/dpkg/copy", os.DirFS(dir+"/var/lib/dpkg")))
	judge.Must(t, os.RemoveAll(copied+"/var/lib/dpkg/info"))
	for _, name := range []string{"status", "info"} {
		judge.Must(t, os.Rename(copied+"/var/lib/dpkg/copy/"+name, copied+"/var/lib/dpkg/"+name))
	}
	layers = append(layers, Dir(copied))
	for _, control := range []string{"Package: MY_tool\nArchitecture: amd64\nVersion: 2-a4\n", "Package: new\nArchitecture: all\nVersion: 1-a5\n"} {
		pkg := packed(control)
		install(pkg)
		layers = append(layers, Debs(pkg))
	}
	got := told(judge.Value(open(t, layers...).Records())(t))
	if diff := cmp.Diff(told(open(t, Dir(dir))), got); diff != "" {
		t.Errorf("(-dpkg +groundhog):\n%s", diff)
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
