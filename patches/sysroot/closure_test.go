package sysroot

import (
	"debug/elf"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tinyelf"
)

const (
	gnu    = "x86_64-linux-gnu"
	loader = "/lib64/ld-linux-x86-64.so.2"
)

func lib(soname string, needed ...string) *fstest.MapFile {
	return file(tinyelf.File{Soname: soname, Needed: needed}.Bytes())
}

// merged is a small system with a merged /usr.
func merged() fstest.MapFS {
	return fstest.MapFS{
		"lib": link("usr/lib"), "lib64": link("usr/lib64"), "bin": link("usr/bin"),
		"usr/lib64/ld-linux-x86-64.so.2":              link("../lib/" + gnu + "/ld-linux-x86-64.so.2"),
		"usr/lib/" + gnu + "/ld-linux-x86-64.so.2":    lib("ld-linux-x86-64.so.2"),
		"usr/lib/" + gnu + "/libc.so.6":               lib("libc.so.6", "ld-linux-x86-64.so.2"),
		"usr/lib/" + gnu + "/liba.so.1":               link("liba.so.1.5"),
		"usr/lib/" + gnu + "/liba.so.1.5":             lib("liba.so.1", "libb.so.2", "libc.so.6"),
		"usr/lib/" + gnu + "/libb.so.2":               lib("libb.so.2", "liba.so.1"), // a circle
		"usr/bin/prog":                                program("liba.so.1", "libc.so.6"),
		"usr/bin/sh":                                  program("libc.so.6"),
		"usr/bin/static":                              file(tinyelf.File{}.Bytes()),
		"usr/bin/script":                              file([]byte("#! /bin/sh -e\n")),
		"usr/bin/script2":                             file([]byte("#!/bin/script")),
		"usr/bin/env":                                 program("libc.so.6"),
		"usr/bin/byenv":                               file([]byte("#!/usr/bin/env prog\n")),
		"usr/bin/byenv2":                              file([]byte("#!/usr/bin/env -S A=1 /bin/script -x\n")),
		"etc/ld.so.conf":                              file([]byte("# nothing\ninclude ld.so.conf.d/*.conf /etc/none*\nhwcap 1 x\n")),
		"etc/ld.so.conf.d/a.conf":                     file([]byte("/opt/lib/ # a\ninclude /etc/ld.so.conf\n/usr/local/lib=libc6\n")),
		"opt/lib/libonly.so":                          lib(""),
		"opt/lib/libc.so.6":                           file(tinyelf.File{Machine: elf.EM_AARCH64}.Bytes()),
		"usr/local/lib/libonly.so":                    lib(""),
		"usr/local/lib/glibc-hwcaps/x86-64-v3/liba.1": lib("liba.so.1"),
	}
}

func program(needed ...string) *fstest.MapFile {
	return file(tinyelf.File{Interp: loader, Needed: needed}.Bytes())
}

func names(files []File) []string {
	list := []string{}
	for _, f := range files {
		list = append(list, strings.Replace(f.Name, gnu, "GNU", 1))
	}
	return list
}

func TestClosure(t *testing.T) {
	base := []string{"usr/lib/GNU/libc.so.6", "usr/lib64/ld-linux-x86-64.so.2"}
	for name, want := range map[string][]string{
		"usr/bin/prog":    {"usr/lib/GNU/liba.so.1", "usr/lib/GNU/libb.so.2", base[0], base[1]},
		"bin/sh":          base,
		"usr/bin/static":  {},
		"bin/script":      {"usr/bin/sh", base[0], base[1]},
		"usr/bin/script2": {"usr/bin/script", "usr/bin/sh", base[0], base[1]},
	} {
		got, err := Closure(merged(), name)
		if diff := cmp.Diff(want, names(got)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		for _, f := range got {
			if at, err := Resolve(merged(), f.Name); at != f.Path {
				t.Errorf("%s leads to %s, not %s: %v", f.Name, at, f.Path, err)
			}
		}
	}
}

// The order of ld.so(8): each case has the library in several places.
func TestClosureSearchOrder(t *testing.T) {
	for _, c := range []struct {
		name       string
		prog, liba tinyelf.File
		want       string // where libx.so is taken from
	}{
		{"rpath", tinyelf.File{Rpath: "/r1:/r2"}, tinyelf.File{}, "r1"},
		{"rpath of the program for a library's library", tinyelf.File{Rpath: "/r2"}, tinyelf.File{Needed: []string{"libx.so"}}, "r2"},
		{"runpath is not inherited", tinyelf.File{Runpath: "/r2"}, tinyelf.File{Needed: []string{"libx.so"}}, "opt/lib"},
		{"runpath hides rpath", tinyelf.File{Runpath: "/r2", Rpath: "/r1"}, tinyelf.File{}, "r2"},
		{"origin", tinyelf.File{Runpath: "$ORIGIN/../r3"}, tinyelf.File{}, "usr/r3"},
		{"origin in braces, of a library", tinyelf.File{}, tinyelf.File{Runpath: "${ORIGIN}/r4", Needed: []string{"libx.so"}}, "usr/lib/" + gnu + "/r4"},
		{"lib and platform", tinyelf.File{Rpath: "/p/$LIB/$PLATFORM"}, tinyelf.File{}, "p/lib/" + gnu + "/x86_64"},
		{"relative and empty are skipped", tinyelf.File{Rpath: ":r1::/r2"}, tinyelf.File{}, "r2"},
		{"ld.so.conf", tinyelf.File{}, tinyelf.File{}, "opt/lib"},
		{"a path", tinyelf.File{Needed: []string{"/r2/libx.so"}}, tinyelf.File{}, "r2"},
	} {
		fsys := merged()
		for _, dir := range []string{"r1", "r2", "usr/r3", "usr/lib/" + gnu + "/r4", "p/lib/" + gnu + "/x86_64", "opt/lib", "usr/lib"} {
			fsys[dir+"/libx.so"] = lib("libx.so")
		}
		c.prog.Interp = loader
		c.liba.Soname = "liba.so.1"
		if c.liba.Needed != nil {
			c.prog.Needed = []string{"liba.so.1"}
			fsys["usr/lib/"+gnu+"/liba.so.1.5"] = file(c.liba.Bytes())
		} else if c.prog.Needed == nil {
			c.prog.Needed = []string{"libx.so"}
		}
		fsys["usr/bin/prog"] = file(c.prog.Bytes())
		got, err := Closure(fsys, "usr/bin/prog")
		if !slices.ContainsFunc(got, func(f File) bool { return f.Name == c.want+"/libx.so" }) {
			t.Errorf("%s: %v, %v, want %s/libx.so", c.name, names(got), err, c.want)
		}
	}
}

func TestClosureMissing(t *testing.T) {
	fsys := merged()
	fsys["usr/bin/bad"] = program("libnone.so.3")
	fsys["usr/bin/nodef"] = file(tinyelf.File{Needed: []string{"libb.so.2"}, Flags1: uint64(elf.DF_1_NODEFLIB)}.Bytes())
	fsys["usr/bin/text"] = file([]byte("hello"))
	fsys["usr/bin/byenv3"] = file([]byte("#!/usr/bin/env perl\n"))
	fsys["usr/bin/env"] = file(tinyelf.File{}.Bytes())
	fsys["usr/bin/me"] = file([]byte("#!/usr/bin/me\n"))
	delete(fsys, "usr/lib/"+gnu+"/libc.so.6")
	dirs := "/opt/lib, /usr/local/lib, /lib/" + gnu + ", /usr/lib/" + gnu + ", /lib, /usr/lib, /lib64, /usr/lib64"
	for name, want := range map[string]string{
		"usr/bin/bad": "libnone.so.3: not found (needed by usr/bin/bad, looked in " + dirs + ")",
		"usr/bin/sh": "libc.so.6: not found (needed by usr/bin/sh, looked in " + dirs +
			", passing over one for another machine)",
		"usr/bin/nodef":  "libb.so.2: not found (needed by usr/bin/nodef, looked in /opt/lib, /usr/local/lib)",
		"usr/bin/byenv3": "interpreter of usr/bin/byenv3: perl, which env is to find: usr/sbin/perl or usr/bin/perl or sbin/perl or bin/perl: not found",
		"usr/bin/absent": "usr/bin/absent: not found",
		"usr/bin/text":   "usr/bin/text: neither an ELF file nor a script",
		"usr/bin/me":     "usr/bin/me: scripts interpreted by scripts: too many levels of symbolic links",
	} {
		_, err := Closure(fsys, name)
		if want = "closure of " + name + ": " + want; err == nil || err.Error() != want {
			t.Errorf("error %v\nwant  %s", err, want)
		}
		if strings.Contains(want, "not found") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("errors.Is(%v, fs.ErrNotExist) is wrong", err)
		}
	}
}

// What runs a script, env's own program and scripts of scripts among it; of another program nothing.
func TestInterpreters(t *testing.T) {
	for name, want := range map[string][]string{
		"bin/script2":    {"usr/bin/script", "usr/bin/sh"},
		"usr/bin/byenv":  {"usr/bin/env", "usr/bin/prog"},
		"usr/bin/byenv2": {"usr/bin/env", "usr/bin/script", "usr/bin/sh"},
		"usr/bin/prog":   nil,
	} {
		if got, err := Interpreters(merged(), name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	fsys := merged()
	delete(fsys, "usr/bin/sh")
	if _, err := Interpreters(fsys, "usr/bin/script"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the shell: %v", err)
	}
}

// As copy_exec of initramfs-tools does it: with libpthread comes libgcc, if there.
func TestClosureOfThreads(t *testing.T) {
	fsys := merged()
	fsys["usr/lib/"+gnu+"/libpthread.so.0"] = lib("libpthread.so.0", "libc.so.6")
	fsys["usr/bin/prog"] = program("libpthread.so.0")
	before := judge.Value(Closure(fsys, "usr/bin/prog"))(t)
	fsys["usr/lib/"+gnu+"/libgcc_s.so.1"] = lib("libgcc_s.so.1", "libc.so.6")
	after := judge.Value(Closure(fsys, "usr/bin/prog"))(t)
	if len(after) != len(before)+1 || !slices.Contains(names(after), "usr/lib/GNU/libgcc_s.so.1") {
		t.Errorf("without libgcc %v, with it %v", names(before), names(after))
	}
}

// A tree of packages that are not merged: what the loader asks for in /lib64 or
// /lib may be under usr, and the other way round.
func TestClosureUnmerged(t *testing.T) {
	fsys := fstest.MapFS{
		"usr/lib64/ld-linux-x86-64.so.2": lib("ld-linux-x86-64.so.2"),
		"lib/" + gnu + "/libc.so.6":      lib("libc.so.6"),
		"usr/bin/dash":                   program("libc.so.6"),
		"usr/bin/sh":                     link("dash"),
		"bin/tool":                       file([]byte("#!/bin/sh\n")),
	}
	got, err := Closure(fsys, "usr/bin/tool")
	want := []File{{"lib/" + gnu + "/libc.so.6", "lib/" + gnu + "/libc.so.6"}, {"usr/bin/sh", "usr/bin/dash"},
		{"usr/lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
