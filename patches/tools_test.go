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

// A script that was asked for, or that stands where curl should, is named with what the archive lacks of its commands: it would start on the device, and fail there.
func TestScriptsThatCallMore(t *testing.T) {
	const more = " is a script, and may call what is not in the archive: "
	for script, want := range map[string]string{
		"#!/bin/dash\nsleep 1; f() { sleep 2; }; f\n":                       "",
		"#!/bin/dash\nexec /usr/bin/curl.distrib --fail \"$@\"\n":           more + "/usr/bin/curl.distrib (--tool adds a program)",
		"#!/usr/bin/env dash\nif frobnicate; then f; fi\nf() { sfdisk; }\n": more + "frobnicate, sfdisk (--tool adds a program)",
		"#!/usr/bin/dash\nif true; then case $(( in\n":                      " is a script: what it needs besides that which runs it is not looked up",
	} {
		for _, at := range []string{"usr/bin/curl", "usr/bin/ours"} {
			tgt := tiny.New("bookworm", true)
			tgt.Root["usr/bin/env"] = tgt.Root["usr/bin/dash"]
			tgt.Root[at] = &fstest.MapFile{Data: []byte(script), Mode: 0o755}
			o := defaults(tgt)
			o.Tools = []string{"dash"}
			if at == "usr/bin/ours" {
				o.Tools = []string{"ours"}
			}
			r, err := apply(read(t, tgt), tgt.Root, o)
			if err != nil {
				t.Errorf("%s, %q: %v", at, script, err)
				continue
			}
			var got []string
			for _, note := range r.Notes {
				if _, said, ok := strings.Cut(note, strings.TrimPrefix(at, "usr/")); ok && strings.Contains(said, "script") {
					got = append(got, said)
				}
			}
			if strings.Join(got, "|") != want {
				t.Errorf("%s, %q: %q", at, script, r.Notes)
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

// The same is said of a root tree's scripts: of commands that no hook puts into the archives that are built there.
func TestHooksScriptsThatCallMore(t *testing.T) {
	const more = " is a script, and may call what no hook is known to put into the initramfs: "
	for script, want := range map[string]string{
		"#!/bin/dash\nsleep 1; f() { /bin/stat x; }; f; modprobe x; ipconfig; sfdisk; /sbin/sfdisk; curl y\n": "",
		"#!/bin/dash\nexec /usr/bin/curl.distrib --fail \"$@\"\n":                                             more + "/usr/bin/curl.distrib (--tool adds a program)",
		"#!/usr/bin/env dash\nif frobnicate; then f; fi\nf() { jq; }\n":                                       more + "frobnicate, jq (--tool adds a program)",
		"#!/usr/bin/dash\nif true; then case $(( in\n":                                                        " is a script: what it needs besides that which runs it is not looked up",
		"no script": "",
	} {
		for _, at := range []string{"usr/bin/curl", "usr/bin/ours"} {
			tree := hookTree("bookworm")
			tree["usr/bin/busybox"] = &fstest.MapFile{Data: tiny.Busybox("[", "[[", "sleep", "stat"), Mode: 0o755}
			tree[klibcDir+"/ipconfig"] = &fstest.MapFile{Data: []byte("x"), Mode: 0o755}
			for _, name := range []string{"dash", "env"} {
				tree["usr/bin/"+name] = &fstest.MapFile{Data: []byte(amd64ELF), Mode: 0o755}
			}
			hookLink(tree, "bin", "usr/bin")
			tree[at] = &fstest.MapFile{Data: []byte(script), Mode: 0o755}
			o := hookOptions()
			if at == "usr/bin/ours" {
				o.Tools = append(o.Tools, "ours")
			}
			if script == "no script" {
				tree[at].Data = []byte(amd64ELF)
			}
			var got []string
			for _, note := range mustHooks(t, tree, o).Notes {
				if _, said, ok := strings.Cut(note, at); ok && strings.Contains(said, "script") {
					got = append(got, said)
				}
			}
			if strings.Join(got, "|") != want {
				t.Errorf("%s, %q: %q, want %q", at, script, got, want)
			}
		}
	}
}
