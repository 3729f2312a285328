package dpkg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// A root tree in which dpkg was stopped has some records beside the status file only: who reads that alone says that the old version is there. What dpkg-query
// lists is what is there, but for a package that dpkg knows no file of yet.
func TestStoppedDpkg(t *testing.T) {
	record := func(name, arch, version, state string) string {
		return fmt.Sprintf("Package: %s\nStatus: install ok %s\nMaintainer: x <x@x>\nDescription: x\nArchitecture: %s\n%s\n", name, state, arch, version)
	}
	const same = "Multi-Arch: same\n"
	root := t.TempDir()
	for name, text := range map[string]string{
		"status": record("tool", "amd64", "Version: 1\n", "installed") + record("gone", "all", "Version: 1\n", "installed") + record("liba", "amd64", same+"Version: 1\n", "installed") +
			record("liba", "i386", same+"Version: 1\n", "installed") + record("stays", "all", "Version: 1\n", "half-configured") + record("began", "all", "", "half-installed"),
		"updates/0000":        record("tool", "amd64", "Version: 2\n", "half-installed"),
		"updates/0001":        record("gone", "all", "", "not-installed"),
		"updates/0002":        record("liba", "i386", same+"Version: 2\n", "unpacked"),
		"updates/0003":        record("new", "all", "Version: 1\n", "half-installed"),
		"updates/0004":        record("tool", "amd64", "Version: 3\n", "unpacked"),
		"updates/0005":        record("newer", "all", "Version: 5\n", "unpacked"),
		"updates/tmp.i":       "#padding\n#padding\n",
		"arch":                "amd64\ni386\n",
		"info/format":         "1\n",
		"info/tool.list":      "/.\n/usr/bin/tool\n",
		"info/liba:i386.list": "/.\n/usr/lib/i\n", "info/liba:amd64.list": "/.\n/usr/lib/a\n", "info/stays.list": "/.\n", "info/newer.list": "/.\n",
	} {
		at := filepath.Join(root, dpkgDir, name)
		judge.Must(t, errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)))
	}
	db := judge.Value(Read(os.DirFS(root)))(t)
	got := []string{"began:all ", "new:all 1"} // of these dpkg has no list
	for _, p := range db.Packages {
		got = append(got, p.Name+":"+p.Architecture+" "+p.Version)
	}
	slices.Sort(got)
	query := exec.Command(judge.Tool(t, "dpkg-query"), "--admindir", filepath.Join(root, dpkgDir), "-W", "-f", "${Package}:${Architecture} ${Version}\\n")
	want := strings.Split(strings.Trim(string(judge.Output(t, query)), "\n"), "\n")
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-dpkg +got):\n%s", diff)
	}
	if versions := judge.Value(Versions(os.DirFS(root)))(t); versions["tool"] != "3" || versions["gone"] != "" {
		t.Errorf("%v", versions)
	}
	if err := os.WriteFile(filepath.Join(root, dpkgDir, "updates/0006"), []byte("Package: tool\nStat"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(os.DirFS(root)); err == nil || !strings.Contains(err.Error(), "updates/0006: not a field") {
		t.Errorf("half a record: %v", err)
	}
}
