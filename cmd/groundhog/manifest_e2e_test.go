//go:build e2e

package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"

	"github.com/google/go-cmp/cmp"
)

// groundhog runs a verb and checks its exit code; it returns what was printed.
func groundhog(t *testing.T, want int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(args, nil, &stdout, &stderr); code != want {
		t.Fatalf("groundhog %q: exit %d, want %d: %s", args, code, want, stderr.String())
	}
	return stdout.String()
}

// manifestFile makes a manifest with the verb and reads it back.
func manifestFile(t *testing.T, args ...string) (*manifest.Manifest, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "manifest.json")
	groundhog(t, 0, append([]string{"manifest", "-o", name}, args...)...)
	text := judge.ReadFile(t, name)
	m := judge.Value(manifest.Decode(bytes.NewReader(text), manifest.DefaultLimits))(t)
	return m, name
}

// treeListing describes a directory without any of our code: a line for each entry.
func treeListing(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		what := ""
		switch {
		case d.IsDir():
			what = "dir"
		case d.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(name)
			list[rel] = "symlink " + target
			return nil
		default:
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(b)
			what = "file " + hex.EncodeToString(sum[:])
		}
		list[rel] = fmt.Sprintf("%s %04o %d:%d", what, st.Mode&0o7777, st.Uid, st.Gid)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// entryListing is the same from a manifest.
func entryListing(m *manifest.Manifest) map[string]string {
	list := map[string]string{}
	for _, e := range m.Entries {
		switch {
		case e.Path == ".":
		case e.Type == manifest.Symlink:
			list[e.Path] = "symlink " + e.Target
		default:
			list[e.Path] = strings.TrimSpace(fmt.Sprintf("%s %s", e.Type, e.SHA256)) + fmt.Sprintf(" %s %d:%d", e.Mode, e.UID, e.GID)
		}
	}
	return list
}

// What the manifest says of a real archive is what Debian's tools unpack from it.
func TestManifestE2E(t *testing.T) {
	t.Parallel()
	for _, suite := range judge.Cases([]string{"bookworm", "trixie"}, "bullseye") {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			tgt := target(t, suite, "amd64")
			for _, archive := range archivesOf(tgt) {
				m, name := manifestFile(t, archive, "--root", tgt.Root)
				if diff := cmp.Diff(treeListing(t, unpack(t, archive)), entryListing(m)); diff != "" {
					t.Errorf("%s (-unpacked +manifest):\n%s", filepath.Base(archive), diff)
				}
				if m.Release != suite || m.Architecture != "amd64" || !slices.Equal(m.Kernels, []string{tgt.Kernel}) {
					t.Errorf("%s %s %q", m.Release, m.Architecture, m.Kernels)
				}
				checkOrigins(t, m, tgt.Root)
				groundhog(t, 0, "verify", archive, "--manifest", name)
				groundhog(t, 0, "diff", name, archive)
				_, again := manifestFile(t, archive, "--root", tgt.Root)
				a, _ := os.ReadFile(name)
				if b, _ := os.ReadFile(again); !bytes.Equal(a, b) {
					t.Error("other bytes the second time")
				}
			}
		})
	}
}

// checkOrigins: at least 99 % of all bytes have a package or a known maker, and
// dpkg's own tools agree on a sample of 200.
func checkOrigins(t *testing.T, m *manifest.Manifest, root string) {
	t.Helper()
	var total, known int64
	var fromPackage []manifest.Entry
	for _, e := range m.Entries {
		if e.Type != manifest.File || e.LinkOf != "" {
			continue
		}
		total += e.Size
		switch e.Origin.Kind {
		case manifest.FromUnknown:
			t.Logf("unknown: %s, %d bytes", e.Path, e.Size)
			continue
		case manifest.FromPackage:
			fromPackage = append(fromPackage, e)
		}
		known += e.Size
	}
	t.Logf("%.3f %% of %d bytes are attributed, %d packages", 100*float64(known)/float64(total), total, len(m.Packages))
	if float64(known) < 0.99*float64(total) {
		t.Error("less than 99 %")
	}
	step := max(1, len(fromPackage)/200)
	var sample []manifest.Entry
	for i := 0; i < len(fromPackage); i += step {
		sample = append(sample, fromPackage[i])
	}
	versions := map[string]string{}
	for _, p := range m.Packages {
		versions[p.Name+":"+p.Architecture] = p.Version
	}
	asked := askDpkg(t, root, sample)
	for _, e := range sample {
		checkOwner(t, e, versions, root, asked)
	}
}

// dpkgAnswers is what dpkg's own tools say of a root tree.
type dpkgAnswers struct {
	owners   map[string]string // of paths that begin with a slash: the last package's name, diversions left out
	versions map[string]string // of these packages
}

// namesOf is the paths in the root tree that a file of the archive may be, the likely one last.
func namesOf(e manifest.Entry) []string {
	at := e.Path
	if e.Origin.Path != "" {
		at = e.Origin.Path
	}
	return []string{at, strings.TrimPrefix(at, "usr/"), "usr/" + at}
}

// askDpkg asks dpkg-query once for all of the sample: it reads all records each time.
func askDpkg(t *testing.T, root string, sample []manifest.Entry) dpkgAnswers {
	t.Helper()
	var paths, owners []string
	for _, e := range sample {
		for _, p := range namesOf(e) {
			paths = append(paths, "/"+p)
		}
	}
	a := dpkgAnswers{map[string]string{}, map[string]string{}}
	search := exec.Command("dpkg-query", append([]string{"--admindir=" + root + "/var/lib/dpkg", "-S"}, paths...)...)
	out, err := search.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) { // 1: some are nobody's
		t.Fatalf("dpkg-query -S: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		name, path, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if !strings.HasPrefix(name, "diversion") {
			a.owners[path], _, _ = strings.Cut(name, ":")
			owners = append(owners, a.owners[path])
		}
	}
	slices.Sort(owners)
	args := append([]string{"--admindir=" + root + "/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n"}, slices.Compact(owners)...)
	for line := range strings.Lines(command(t, "dpkg-query", args...)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		a.versions[name] = version
	}
	return a
}

// checkOwner holds what dpkg-query says who owns a file, and its md5sums what is in it, against the manifest.
func checkOwner(t *testing.T, e manifest.Entry, versions map[string]string, root string, asked dpkgAnswers) {
	t.Helper()
	owner, file := "", ""
	for _, p := range namesOf(e) {
		if name := asked.owners["/"+p]; name != "" {
			owner, file = name, p
		}
	}
	if owner != e.Origin.Name {
		t.Errorf("%s: dpkg-query says %q, the manifest %q", e.Path, owner, e.Origin.Name)
		return
	}
	version := asked.versions[owner]
	if v := versions[owner+":"+e.Origin.Architecture]; v != version {
		t.Errorf("%s: dpkg-query says %s, the manifest %s", owner, version, v)
	}
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Errorf("%s: %v", e.Path, err)
		return
	}
	sum, old := sha256.Sum256(b), md5.Sum(b)
	if hex.EncodeToString(sum[:]) != e.SHA256 {
		t.Errorf("%s: the tree's file %s has another content", e.Path, file)
	}
	infos, _ := filepath.Glob(root + "/var/lib/dpkg/info/" + owner + "*.md5sums")
	for _, info := range infos {
		text, _ := os.ReadFile(info)
		if strings.Contains(string(text), "  "+file+"\n") && !strings.Contains(string(text), hex.EncodeToString(old[:])+"  "+file+"\n") {
			t.Errorf("%s: not the MD5 in %s", e.Path, filepath.Base(info))
		}
	}
}
