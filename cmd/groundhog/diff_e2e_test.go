//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/manifest"
	"groundhog/manifest/diff"
	"groundhog/patches/sysroot"

	"github.com/google/go-cmp/cmp"
)

// changesOf is what the verb says about two sides, as data.
func changesOf(t *testing.T, want int, args ...string) *diff.Changes {
	t.Helper()
	c := new(diff.Changes)
	if err := json.Unmarshal([]byte(groundhog(t, want, append([]string{"diff", "--format", "json"}, args...)...)), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// said is the paths that came, went and changed, a moved one being one of each.
func said(c *diff.Changes) map[string]string {
	all := map[string]string{}
	for _, ch := range c.Each {
		switch ch.Kind {
		case diff.Moved:
			all[ch.From], all[ch.Path] = "removed", "added"
		default:
			all[ch.Path] = string(ch.Kind)
		}
	}
	return all
}

// expected is the same from two listings that none of our code made; what is
// folded, and why, is known.
func expected(a, b map[string]string, folded ...string) map[string]string {
	all := map[string]string{}
	for name := range maps.Keys(a) {
		if _, ok := b[name]; !ok {
			all[name] = "removed"
		} else if a[name] != b[name] {
			all[name] = "changed"
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			all[name] = "added"
		}
	}
	maps.DeleteFunc(all, func(name, _ string) bool {
		return slices.Contains(folded, name) || strings.HasPrefix(name, "root-")
	})
	return all
}

// passwd is a tree's etc/passwd without the random part of root's home.
func passwd(dir string) string {
	b, _ := os.ReadFile(filepath.Join(dir, "etc/passwd"))
	return regexp.MustCompile(`/root-[0-9A-Za-z]{10}:`).ReplaceAllString(string(b), "/root-:")
}

// withoutHomes leaves out random homes: their names differ in a listing,
// but not in a report.
func withoutHomes(all map[string]string) map[string]string {
	maps.DeleteFunc(all, func(name, _ string) bool { return strings.HasPrefix(name, "root-") })
	return all
}

// bookworm against trixie, plain against dropbear, pristine against patched: the
// report names what a comparison of the unpacked trees names.
func TestDiffE2E(t *testing.T) {
	t.Parallel()
	bookworm, trixie := target(t, "bookworm", "amd64"), target(t, "trixie", "amd64")
	patched := patchTarget(t, bookworm, bookworm.Dropbear)
	for name, c := range map[string]struct{ old, new, oldRoot, newRoot string }{
		"bookworm and trixie": {bookworm.Dropbear, trixie.Dropbear, bookworm.Root, trixie.Root},
		"without and with":    {bookworm.Plain, bookworm.Dropbear, bookworm.Root, bookworm.Root},
		"pristine, patched":   {bookworm.Dropbear, patched.archive, bookworm.Root, bookworm.Root},
	} {
		t.Run(name, func(t *testing.T) {
			got := changesOf(t, 1, c.old, c.new, "--old-root", c.oldRoot, "--new-root", c.newRoot)
			old, now := unpack(t, c.old), unpack(t, c.new)
			folded := []string{"etc/ld.so.cache"}
			if passwd(old) == passwd(now) {
				folded = append(folded, "etc/passwd")
			}
			want := expected(treeListing(t, old), treeListing(t, now), folded...)
			if diff := cmp.Diff(want, withoutHomes(said(got))); diff != "" {
				t.Errorf("(-unpacked +diff):\n%s", diff)
			}
		})
	}
	c := changesOf(t, 1, bookworm.Dropbear, patched.archive)
	var names []string
	for _, p := range c.Patches {
		names = append(names, p.Name)
	}
	if !slices.Contains(names, "curl") || len(c.Keys) == 0 {
		t.Errorf("patches %q, keys %v", names, c.Keys)
	}
	groundhog(t, 1, "diff", "-q", bookworm.Dropbear, patched.archive, "--fail-on", "patches")
	groundhog(t, 0, "diff", "-q", bookworm.Dropbear, patched.archive, "--fail-on", "kernel,modules,setuid")
	groundhog(t, 0, "verify", patched.archive)
}

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
	if diff := cmp.Diff(changed, slices.Sorted(maps.Keys(said(c)))); diff != "" {
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
			if err := os.Chmod(cmd.Dir, 0o777); err != nil {
				t.Fatal(err)
			}
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
	in, err := readArchive(archive, int64(defaultMaxSize))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := sysroot.Open(sysroot.Debs(deb))
	if err != nil {
		t.Fatal(err)
	}
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
		b, err := tree.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		path := e.Path
		if to := renamed[e.Path]; to != "" && to != e.Path {
			if err := in.img.Remove(e.Path); err != nil {
				t.Fatal(err)
			}
			link := soname(t, m, e.Path)
			if _, err := in.img.Put(link, initrd.File{Mode: initrd.TypeLink | 0o777, Data: []byte(filepath.Base(to))}); err != nil {
				t.Fatal(err)
			}
			changed = append(changed, link, to)
			path = to
		}
		if did, err := in.img.Put(path, initrd.File{Mode: initrd.TypeFile | uint32(e.Mode), Data: b}); err != nil {
			t.Fatal(err)
		} else if did {
			changed = append(changed, e.Path)
		}
	}
	out := filepath.Join(t.TempDir(), filepath.Base(archive))
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := in.img.WriteTo(f); err != nil {
		t.Fatal(err)
	}
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
