package dpkg

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/initrd/debian"
)

// rooted is a directory with dpkg's records of two packages.
func rooted(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"var/lib/dpkg/status":                 "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\nPackage: other\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n\n",
		"var/lib/dpkg/info/tool.list":         "/.\n/usr/bin/tool.one\n/usr/share/man/man1/tool.one.1\n/etc/init.d/tool\n/lib/systemd/system/tool.service\n",
		"var/lib/dpkg/info/other.list":        "/.\n/bin/tool.two\n",
		"usr/bin/tool.one":                    "1",
		"usr/bin/tool.two":                    "2",
		"usr/share/man/man1/tool.one.1":       "m",
		"usr/lib/systemd/system/tool.service": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\nAlias=tooled.service\n",
		"etc/init.d/tool":                     "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: tool\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2 3\n# Default-Stop: 0 6\n### END INIT INFO\n",
		"etc/tool.conf":                       "changed", "etc/other.conf": "o", "etc/gone.conf": "g",
		"var/lib/ucf/registry": "tool                                    \t /etc/tool.conf\nother\t /etc/other.conf\nremoved\t /etc/gone.conf\nother\t etc/odd\n",
		"var/lib/ucf/hashfile": "00000000000000000000000000000001  /etc/tool.conf\n00000000000000000000000000000002  /etc/other.conf\n00000000000000000000000000000003  /etc/gone.conf\n",
	} {
		at := filepath.Join(root, name)
		judge.Must(t, errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o755)))
	}
	for _, dir := range []string{"etc/alternatives", "var/lib/dpkg/alternatives", "var/log", "etc/rc0.d", "etc/rc1.d", "etc/rc2.d", "etc/rc3.d", "etc/rc4.d", "etc/rc5.d", "etc/rc6.d", "etc/rcS.d"} {
		judge.Must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for link, to := range map[string]string{"lib": "usr/lib", "bin": "usr/bin"} {
		judge.Must(t, os.Symlink(to, filepath.Join(root, link)))
	}
	return root
}

func runTool(t *testing.T, root, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(judge.Tool(t, name), args...)
	cmd.Env = append(os.Environ(), "DPKG_ROOT="+root, "DPKG_MAINTSCRIPT_PACKAGE=tool", "DPKG_MAINTSCRIPT_NAME=postinst")
	judge.Run(t, cmd)
}

// Each link that Debian's tools make in a tree is known by their records, and so is whose it is; one that somebody turned elsewhere is not.
func TestMadeLinks(t *testing.T) {
	root := rooted(t)
	for _, args := range [][]string{
		{"update-alternatives", "--root", root, "--install", "/usr/bin/tool", "tool", "/usr/bin/tool.one", "10", "--slave", "/usr/share/man/man1/tool.1", "tool.1", "/usr/share/man/man1/tool.one.1"},
		{"update-alternatives", "--root", root, "--install", "/usr/bin/tool", "tool", "/bin/tool.two", "5"},
		{"update-alternatives", "--root", root, "--install", "/usr/bin/vi", "vi", "/usr/bin/tool.one", "5"},
		{"update-alternatives", "--root", root, "--install", "/usr/bin/vi", "vi", "/bin/tool.two", "7"},
		{"update-alternatives", "--root", root, "--install", "/usr/bin/mine", "mine", "/usr/local/bin/mine", "1"},
		{"deb-systemd-helper", "enable", "tool.service"},
		{"update-rc.d", "tool", "defaults"},
	} {
		if args[len(args)-2] == "/usr/local/bin/mine" { // which nobody has
			judge.Must(t, errors.Join(os.MkdirAll(root+"/usr/local/bin", 0o755), os.WriteFile(root+"/usr/local/bin/mine", nil, 0o755)))
		}
		runTool(t, root, args[0], args[1:]...)
	}
	tree := os.DirFS(root)
	db, err := Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink || name == "bin" || name == "lib" {
			return err
		}
		target, err := fs.ReadLink(tree, name)
		got[name] = "nobody's"
		for _, made := range db.MadeLinks(name) {
			to := strings.TrimPrefix(target, "/")
			if !strings.HasPrefix(target, "/") {
				to = path.Join(path.Dir(name), target)
			}
			if debian.MergedUsr(to) == made.To {
				got[name] = db.Packages[made.For.Package].Name + " " + made.For.Path
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"etc/alternatives/tool": "tool usr/bin/tool.one", "usr/bin/tool": "tool usr/bin/tool.one",
		"etc/alternatives/tool.1": "tool usr/share/man/man1/tool.one.1", "usr/share/man/man1/tool.1": "tool usr/share/man/man1/tool.one.1",
		"etc/alternatives/vi": "other bin/tool.two", "usr/bin/vi": "other bin/tool.two",
		"etc/alternatives/mine": "nobody's", "usr/bin/mine": "nobody's",
		"etc/systemd/system/multi-user.target.wants/tool.service": "tool lib/systemd/system/tool.service", "etc/systemd/system/tooled.service": "tool lib/systemd/system/tool.service",
	}
	for name := range got {
		if strings.HasPrefix(name, "etc/rc") {
			want[name] = "tool etc/init.d/tool"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 12 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, owner := range map[string]string{"etc/tool.conf": "tool", "etc/other.conf": "other", "etc/gone.conf": "", "etc/odd": ""} {
		var who []string
		for _, o := range db.Owners(name) {
			who = append(who, db.Packages[o.Package].Name)
			if o.MD5 == "" {
				t.Errorf("%s has no sum", name)
			}
		}
		if !slices.Equal(who, strings.Fields(owner)) {
			t.Errorf("%s is of %q, want %q", name, who, owner)
		}
	}
	// The choice that the link no longer leads to proves nothing.
	judge.Must(t, errors.Join(os.Remove(root+"/etc/alternatives/tool"), os.Symlink("/usr/local/bin/mine", root+"/etc/alternatives/tool")))
	if db, err = Read(tree); err != nil || len(db.MadeLinks("usr/bin/tool"))+len(db.MadeLinks("usr/share/man/man1/tool.1")) != 0 {
		t.Errorf("turned elsewhere: %v, %v", db.MadeLinks("usr/bin/tool"), err)
	}
}

// Records that are damaged, or large, prove nothing and break nothing.
func FuzzMade(f *testing.F) {
	f.Add("auto\n/usr/bin/tool\ntool.1\n/usr/share/man/man1/tool.1\n\n/usr/bin/tool.one\n10\n/usr/share/man/man1/tool.one.1\n\n", "/etc/systemd/system/a.service\n", "tool\t /etc/tool.conf\n")
	f.Add("auto\n", "x", "\t")
	root := f.TempDir()
	judge.WriteTree(f, root, map[string]string{"var/lib/dpkg/status": "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n", "var/lib/dpkg/info/tool.list": "/usr/bin/tool.one\n",
		"var/lib/systemd/deb-systemd-helper-enabled/a.service": ""})
	if err := errors.Join(os.MkdirAll(root+"/etc/alternatives", 0o755), os.MkdirAll(root+"/var/lib/ucf", 0o755), os.MkdirAll(root+"/var/lib/dpkg/alternatives", 0o755),
		os.Symlink("/usr/bin/tool.one", root+"/etc/alternatives/tool")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, alternative, also, registry string) {
		if err := errors.Join(os.WriteFile(root+"/var/lib/dpkg/alternatives/tool", []byte(alternative), 0o644), os.WriteFile(root+"/var/lib/ucf/registry", []byte(registry), 0o644),
			os.WriteFile(root+"/var/lib/systemd/deb-systemd-helper-enabled/a.service.dsh-also", []byte(also), 0o644)); err != nil {
			t.Fatal(err)
		}
		db := judge.Value(Read(os.DirFS(root)))(t)
		for at := range db.made {
			for _, l := range db.MadeLinks(at) {
				if l.For.Package != 0 || !fs.ValidPath(l.To) || !fs.ValidPath(at) {
					t.Errorf("%q: %+v", at, l)
				}
			}
		}
	})
}
