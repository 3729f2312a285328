package patches

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd/debian/dropbear"
)

// onRecord is dpkg's record of packages, "name version" each.
func onRecord(packages ...string) fstest.MapFS {
	var status strings.Builder
	tree := fstest.MapFS{}
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		status.WriteString("Package: " + name + "\nStatus: install ok installed\nArchitecture: all\nVersion: " + version + "\n\n")
		tree["var/lib/dpkg/info/"+name+".list"] = tiny.Text("/.\n")
	}
	tree["var/lib/dpkg/status"] = tiny.Text(status.String())
	return tree
}

// knownTools is what has to be in an initramfs-tools that no release has, in our words.
var knownTools = fstest.MapFS{
	"init":              tiny.Program([]byte("#!/bin/sh\n. /conf/initramfs.conf\nrun_scripts /scripts/init-premount\n")),
	"scripts/functions": tiny.Text("run_scripts()\n{\n\t:\n}\nconfigure_networking()\n{\n\t:\n}\n"),
	"hook-functions":    tiny.Text("copy_exec() {\n\t:\n}\n"),
}

// What is not as the release has it is named, for patch and for hooks; of an initramfs-tools that nobody knows it is looked up what
// is needed of it, and --release insists.
func TestPackagesAsFound(t *testing.T) {
	for name, c := range map[string]struct {
		release  string
		packages []string
		without  string // of what is known of initramfs-tools
		insisted bool
		note     string
		err      string
		dropbear string // whose it is taken for
	}{
		"bookworm's":        {"bookworm", []string{"initramfs-tools-core 0.142+deb12u3", "dropbear-initramfs 2022.83-1+deb12u3"}, "", false, "", "", "bookworm"},
		"trixie's, updated": {"trixie", []string{"initramfs-tools-core 0.148.4", "dropbear-initramfs 2025.89-1~deb13u1"}, "", false, "", "", "trixie"},
		"backports": {"bookworm", []string{"initramfs-tools-core 0.148.3~bpo12+1", "dropbear-initramfs 2025.89-1~bpo12+1"}, "", false,
			"initramfs-tools 0.148 is in the root tree, as trixie has it, not bookworm (0.142)", "", "trixie"},
		"dropbear alone":    {"bookworm", []string{"dropbear-initramfs 2025.89-1"}, "", false, "dropbear 2025.89 is in the root tree, as trixie has it, not bookworm (2022.83)", "", "trixie"},
		"nobody's dropbear": {"bookworm", []string{"dropbear-initramfs 2031.1-1"}, "", false, "dropbear 2031.1 is in the root tree, which bookworm does not have", "", "bookworm"},
		"nobody's, as known": {"trixie", []string{"initramfs-tools-core 0.151"}, "", false,
			"initramfs-tools 0.151 is in the root tree, which no supported release has: it is taken for trixie's 0.148", "", "trixie"},
		"nobody's, other functions": {"trixie", []string{"initramfs-tools-core 0.151"}, "scripts/functions", false, "", "initramfs-tools 0.151 is in the root tree, which no supported release has, and ", "trixie"},
		"nobody's, no functions":    {"trixie", []string{"initramfs-tools-core 1.0"}, "init", false, "", "initramfs-tools 1.0 is in the root tree", "trixie"},
		"insisted": {"trixie", []string{"initramfs-tools-core 0.151"}, "scripts/functions", true,
			"initramfs-tools 0.151 is in the root tree, which no supported release has; it is treated as that of trixie", "", "trixie"},
		"none installed": {"trixie", []string{"base-files 13"}, "", false, "", "", "trixie"},
	} {
		hooks, archive := hookTree(c.release), tiny.New(c.release, false)
		records := onRecord(c.packages...)
		maps.Copy(hooks, records)
		maps.Copy(archive.Root, records)
		for file, f := range knownTools {
			if file == c.without {
				f = tiny.Program([]byte("#!/bin/sh\n"))
			}
			hooks[toolsDir+"/"+file] = f
			if file != "hook-functions" {
				archive.Archive[file] = f
			}
		}
		check := func(verb string, notes []string, v dropbear.Version, err error) {
			t.Helper()
			all := strings.Join(notes, "\n")
			switch {
			case c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err) || !strings.HasSuffix(err.Error(), "--release overrides")):
				t.Errorf("%s, %s: %v", name, verb, err)
			case c.err == "" && err != nil:
				t.Errorf("%s, %s: %v", name, verb, err)
			case err == nil && (!strings.Contains(all, c.note) || c.note == "" && strings.Contains(all, "root tree") || v.Release != c.dropbear):
				t.Errorf("%s, %s: %s, %q", name, verb, v, notes)
			}
		}
		o := hookOptions()
		if c.insisted {
			o.Release = c.release
		}
		tree, err := openTree(hooks, nil, o)
		if err != nil {
			tree = &Tree{}
		}
		check("hooks", tree.notes, tree.version, err)
		a, err := openArchive(read(t, archive), archive.Root, nil, o)
		if err != nil {
			a = &Archive{}
		}
		check("patch", a.notes, a.version, err)
	}
}

// The server decides which keys it takes, whatever release it is on; how names are looked up is the C library's.
func TestServerOfAnotherRelease(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	tgt.Archive["usr/sbin/dropbear"] = tiny.New("trixie", true).Archive["usr/sbin/dropbear"]
	libc(tgt, "Debian GLIBC 2.36-9) stable release version 2.36")
	a := judge.Value(openArchive(read(t, tgt), tgt.Root, nil, defaults(tgt)))(t)
	if a.Release != "bookworm" || a.version.DSS || !strings.Contains(strings.Join(a.notes, "\n"), "dropbear 2025.89 is in the archive, as trixie has it, not bookworm (2022.83)") {
		t.Errorf("%s, %v, %q", a.Release, a.version, a.notes)
	}
	bullseye := judge.Value(dropbear.ForRelease("bullseye"))(t)
	if v := bullseye.With("2022.83"); !v.NeedsNSSDNS || v.RootDir != "etc/dropbear/initramfs" {
		t.Errorf("%+v", v)
	}
}
