//go:build e2e

package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest/diff"

	"github.com/google/go-cmp/cmp"
)

// changesOf is what the verb says about two sides, as data.
func changesOf(t *testing.T, want int, args ...string) *diff.Changes {
	t.Helper()
	c := new(diff.Changes)
	judge.Must(t, json.Unmarshal([]byte(groundhog(t, want, append([]string{"diff", "--format", "json"}, args...)...)), c))
	return c
}

// said is the paths that came, went and changed under the names that a listing has for them. What was found again under
// another name, a moved file or a module of the next kernel, is one that went and one that came.
func said(c *diff.Changes, listed func(string) string) map[string]string {
	all := map[string]string{}
	for _, ch := range c.Each {
		from, name := listed(ch.From), listed(ch.Path)
		if ch.From != "" && from != name {
			all[from], all[name] = "removed", "added"
		} else {
			all[name] = string(ch.Kind)
		}
	}
	return all
}

// withoutReleases rewrites the release of every kernel that became another one, in paths and in the targets of links, as the
// report does: what lies under one is compared with what lies under the other.
func withoutReleases(kernels []diff.KernelChange) func(string) string {
	var pairs []string
	for _, k := range kernels {
		pairs = append(pairs, k.Old, "KERNEL", k.New, "KERNEL")
	}
	return strings.NewReplacer(pairs...).Replace
}

// relisted is a listing under other names.
func relisted(t *testing.T, list map[string]string, listed func(string) string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, what := range list {
		all[listed(name)] = listed(what)
	}
	if len(all) != len(list) {
		t.Fatalf("of %d names %d are left: two kernels look alike", len(list), len(all))
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
			listed := withoutReleases(got.Kernels)
			want := expected(relisted(t, treeListing(t, old), listed), relisted(t, treeListing(t, now), listed), folded...)
			if diff := cmp.Diff(want, withoutHomes(said(got, listed))); diff != "" {
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
