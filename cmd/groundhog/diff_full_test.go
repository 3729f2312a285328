//go:build full

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"groundhog/cmd/internal/input"
	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/manifest"
	"groundhog/patches/sysroot"

	"github.com/google/go-cmp/cmp"
)

// One package's update: the report names it with both versions, its files, and
// nothing else.
func TestDiffUpdateE2E(t *testing.T) {
	t.Parallel()
	tgt := target(t, "bookworm", "amd64")
	now, nowFile := manifestFile(t, tgt.Dropbear, "--root", tgt.Root)
	pkg, deb := olderPackage(t, now)
	older, changed := withPackage(t, tgt.Dropbear, now, pkg.Name, deb)
	old, oldFile := manifestFile(t, older, "--root", tgt.Root, "--deb", deb)
	i := slices.IndexFunc(old.Packages, func(p manifest.Package) bool { return p.Name == pkg.Name })
	if i < 0 || old.Packages[i].Version == pkg.Version {
		t.Fatalf("the older archive's manifest does not know the older %s", pkg.Name)
	}
	c := changesOf(t, 1, oldFile, nowFile)
	if len(c.Packages) != 1 || c.Packages[0].Name != pkg.Name || c.Packages[0].Old != old.Packages[i].Version || c.Packages[0].New != pkg.Version {
		t.Fatalf("packages: %+v", c.Packages)
	}
	if diff := cmp.Diff(changed, slices.Sorted(maps.Keys(said(c, withoutReleases(c.Kernels))))); diff != "" {
		t.Errorf("(-changed +diff):\n%s", diff)
	}
	text := groundhog(t, 1, "diff", oldFile, nowFile)
	t.Log(text)
	if want := fmt.Sprintf("%s %s -> %s: ", pkg.Name, old.Packages[i].Version, pkg.Version); !strings.HasPrefix(text, want) {
		t.Errorf("the report begins with %.120q, want %q", text, want)
	}
	groundhog(t, 1, "diff", "-q", oldFile, nowFile, "--fail-on", "packages")
	groundhog(t, 0, "diff", "-q", oldFile, nowFile, "--fail-on", "added,removed,setuid,keys,size>5%")
}

// olderPackage fetches, with apt, another version of one of the libraries in
// an archive.
func olderPackage(t *testing.T, m *manifest.Manifest) (manifest.Package, string) {
	for _, name := range []string{"liblzma5", "libssl3", "libblkid1", "libc6", "udev"} {
		i := slices.IndexFunc(m.Packages, func(p manifest.Package) bool { return p.Name == name })
		if i < 0 {
			continue
		}
		for line := range strings.Lines(command(t, "apt-cache", "madison", name)) {
			f := strings.Fields(line)
			if len(f) < 3 || f[2] == m.Packages[i].Version {
				continue
			}
			cmd := exec.Command("apt-get", "-q", "download", name+":amd64="+f[2])
			cmd.Dir = t.TempDir()
			judge.Must(t, os.Chmod(cmd.Dir, 0o777))
			if cmd.Run() != nil {
				continue // on the list, but no longer on the mirror
			}
			if debs, _ := filepath.Glob(cmd.Dir + "/*.deb"); len(debs) == 1 {
				return m.Packages[i], debs[0]
			}
		}
	}
	judge.Missing(t, "a second version, in this machine's apt, of any package in the archive")
	return manifest.Package{}, ""
}

// withPackage lays a package's files over an archive, and says which of its
// paths that changed.
func withPackage(t *testing.T, archive string, m *manifest.Manifest, name, deb string) (string, []string) {
	t.Helper()
	in := judge.Value(input.Named().Archive(archive, int64(defaultMaxSize)))(t)
	tree := judge.Value(sysroot.Open(sysroot.Debs(deb)))(t)
	var changed []string
	renamed := map[string]string{} // a library's file has its version in its name
	for _, e := range m.Entries {
		if e.Origin == nil || e.Origin.Name != name || e.Type != manifest.File || e.LinkOf != "" {
			continue
		}
		at, err := sysroot.Find(tree, e.Path)
		if err != nil {
			link := soname(t, m, e.Path)
			if at, err = sysroot.Find(tree, link); err != nil {
				t.Fatal(err)
			}
			at, _ = sysroot.Resolve(tree, at)
			renamed[e.Path] = filepath.Join(filepath.Dir(e.Path), filepath.Base(at))
		}
		b := judge.Value(tree.ReadFile(at))(t)
		path := e.Path
		if to := renamed[e.Path]; to != "" && to != e.Path {
			judge.Must(t, in.Image.Remove(e.Path))
			link := soname(t, m, e.Path)
			judge.Value(in.Image.Put(link, initrd.File{Mode: initrd.TypeLink | 0o777, Data: []byte(filepath.Base(to))}))(t)
			changed = append(changed, link, to)
			path = to
		}
		if did, err := in.Image.Put(path, initrd.File{Mode: initrd.TypeFile | uint32(e.Mode), Data: b}); err != nil {
			t.Fatal(err)
		} else if did {
			changed = append(changed, e.Path)
		}
	}
	out := filepath.Join(t.TempDir(), filepath.Base(archive))
	f := judge.Value(os.Create(out))(t)
	defer f.Close()
	judge.Value(in.Image.WriteTo(f))(t)
	slices.Sort(changed)
	return out, changed
}

// soname is the symlink in the archive that leads to a library's file.
func soname(t *testing.T, m *manifest.Manifest, path string) string {
	for _, e := range m.Entries {
		if e.Type == manifest.Symlink && filepath.Join(filepath.Dir(e.Path), e.Target) == path {
			return e.Path
		}
	}
	t.Fatalf("nothing leads to %s", path)
	return ""
}
