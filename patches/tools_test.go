package patches

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
)

// A script that is asked for comes with what runs it, what env is to find as well, in both halves: Debian's copy_exec takes the
// script alone. What could not be run in the root tree is refused.
func TestToolsThatAreScripts(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		mode   fs.FileMode
		want   []string // what comes with it
		err    string
	}{
		"shell's":        {"#!/bin/dash -e\n", 0o755, []string{"usr/bin/dash"}, ""},
		"by env":         {"#!/usr/bin/env dash\n", 0o755, []string{"usr/bin/dash", "usr/bin/env"}, ""},
		"nobody's":       {"#!/usr/bin/env perl\n", 0o755, nil, "perl, which env is to find: usr/sbin/perl"},
		"not executable": {"#!/bin/dash\n", 0o640, nil, "usr/bin/ours in the root tree is not executable (mode 0640)"},
	} {
		tgt, tree := tiny.New("bookworm", true), hookTree("bookworm")
		tgt.Root["usr/bin/env"] = tgt.Root["usr/bin/dash"]
		tgt.Root["usr/bin/ours"] = &fstest.MapFile{Data: []byte(c.script), Mode: c.mode}
		missing := maps.Clone(tgt.Root)
		for at := range tree {
			delete(missing, at)
		}
		maps.Copy(tree, missing)
		ask := func(o *Options) { o.Tools = []string{"ours"} }
		o := defaults(tgt)
		ask(&o)
		_, err := apply(read(t, tgt), tgt.Root, o)
		h := hookOptions()
		ask(&h)
		r, hooksErr := Hooks(tree, nil, h, "")
		if c.err != "" {
			for _, err := range []error{err, hooksErr} {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			continue
		}
		judge.Must(t, err)
		judge.Must(t, hooksErr)
		img, _ := patch(t, tgt, ask)
		var hook string
		for _, change := range r.Changes {
			if change.Path == dropbearHook {
				hook = string(change.After)
			}
		}
		for _, at := range append(slices.Clone(c.want), "usr/bin/ours") {
			if e := img.Lookup(at); e == nil || e.Perm()&0o111 == 0 {
				t.Errorf("%s: %s is not in the archive", name, at)
			}
			if !strings.Contains(hook, "copy_exec /"+at+" || exit 1\n") {
				t.Errorf("%s: %s is not in the hook:\n%s", name, at, hook)
			}
		}
	}
}

// A program that dpkg has put elsewhere is not just missing: it is said where it is, on either side of a merged /usr, in both halves.
func TestToolsThatAreDiverted(t *testing.T) {
	const records = "/bin/ours\n/bin/ours.distrib\nmine\n/usr/sbin/theirs\n/opt/theirs\n:\n"
	for name, c := range map[string]struct {
		records, tool, want string
	}{
		"by a package":         {records, "ours", ": the package mine has diverted /bin/ours to /bin/ours.distrib, which is there ("},
		"by its path":          {records, "/usr/bin/ours", ": the package mine has diverted /bin/ours to /bin/ours.distrib, which is there ("},
		"by the administrator": {records, "theirs", ": the administrator has diverted /usr/sbin/theirs to /opt/theirs, which is not there either ("},
		"not":                  {records, "others", "others: not found"},
		"odd records":          {"/bin/ours\n", "ours", "ours: not found"},
	} {
		tgt, tree := tiny.New("bookworm", true), hookTree("bookworm")
		for _, root := range []fstest.MapFS{tgt.Root, tree} {
			root["usr/bin/ours.distrib"] = &fstest.MapFile{Data: []byte("#!/bin/dash\n"), Mode: 0o755}
			root["var/lib/dpkg/diversions"] = &fstest.MapFile{Data: []byte(c.records), Mode: 0o644}
		}
		o, h := defaults(tgt), hookOptions()
		o.Tools, h.Tools = []string{c.tool}, []string{c.tool}
		_, err := apply(read(t, tgt), tgt.Root, o)
		_, hooksErr := Hooks(tree, nil, h, "")
		for _, err := range []error{err, hooksErr} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
			if diverted := err != nil && strings.Contains(err.Error(), "diverted"); diverted != strings.Contains(c.want, "diverted") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
