package sysroot

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tinyelf"
)

var lddPath = regexp.MustCompile(`(/\S+) \(0x`)

// The host's own ldd judges.
func TestClosureAsLdd(t *testing.T) {
	ldd := judge.Tool(t, "ldd")
	tree := open(t, Dir("/"))
	for _, prog := range []string{"ls", "curl"} {
		t.Run(prog, func(t *testing.T) {
			full := judge.Tool(t, prog)
			files := judge.Value(Closure(tree, full[1:]))(t)
			want := map[string]bool{}
			for _, m := range lddPath.FindAllStringSubmatch(string(run(t, ldd, full)), -1) {
				at := judge.Value(filepath.EvalSymlinks(m[1]))(t)
				want[filepath.Base(m[1])+" at "+at] = true
			}
			got := map[string]bool{}
			for _, f := range files {
				got[filepath.Base(f.Name)+" at /"+f.Path] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-ldd +got):\n%s", diff)
			}
		})
	}
}

// What we build for the tests is ELF to others, too.
func TestObjectsAreELF(t *testing.T) {
	readelf := judge.Tool(t, "readelf")
	for _, b := range [][]byte{program("libc.so.6").Data, tinyelf.Module{Info: "name=x\x00"}.Bytes()} {
		if _, err := elf.NewFile(bytes.NewReader(b)); err != nil {
			t.Error(err)
		}
		name := filepath.Join(writeTree(t, t.TempDir(), map[string]string{"o": string(b)}), "o")
		if out := run(t, readelf, "-W", "-l", "-d", name); bytes.Contains(out, []byte("rror")) {
			t.Errorf("%s", out)
		}
	}
}

// Cut anywhere, a program is refused.
func TestClosureCut(t *testing.T) {
	whole := tinyelf.File{Interp: loader, Needed: []string{"libc.so.6"}, Soname: "x", Rpath: "/a:/b"}.Bytes()
	for n := range whole {
		fsys := merged()
		fsys["usr/bin/prog"] = file(whole[:n])
		if files, err := Closure(fsys, "usr/bin/prog"); err == nil {
			t.Errorf("the first %d of %d bytes pass with %v", n, len(whole), names(files))
		}
	}
}

func TestHostileELF(t *testing.T) {
	many := make([]string, maxNeeded+1)
	for i := range many {
		many[i] = fmt.Sprintf("lib%d.so", i)
	}
	b := program("libc.so.6").Data
	noEnd := bytes.Clone(b[:bytes.Index(b, []byte("/lib64/"))+10])
	for want, b := range map[string][]byte{
		"more than 1024 libraries": program(many...).Data,
		"lie outside the file":     noEnd,
		"string without an end":    program(strings.Repeat("x", 5000)).Data,
		"no absolute path":         program("./lib.so").Data,
		"no architecture":          file(tinyelf.File{Machine: elf.EM_SPARCV9, Interp: loader}.Bytes()).Data,
	} {
		fsys := merged()
		fsys["usr/bin/prog"] = file(b)
		_, err := Closure(fsys, "usr/bin/prog")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// FuzzClosure: no panic; what passes is sorted, resolved and the same again.
func FuzzClosure(f *testing.F) {
	f.Add(program("liba.so.1", "libc.so.6").Data, []byte("/opt/lib\n"))
	f.Add(tinyelf.File{Interp: loader, Needed: []string{"libonly.so"}, Rpath: "$ORIGIN/../lib:${LIB}"}.Bytes(), []byte("include *.conf"))
	f.Add([]byte("#!/bin/sh\n"), []byte("include /etc/ld.so.conf\nhwcap\n/x=y"))
	f.Fuzz(func(t *testing.T, b, conf []byte) {
		fsys := merged()
		fsys["usr/bin/fuzz"] = file(b)
		fsys["usr/lib/"+gnu+"/libb.so.2"] = file(b)
		fsys["etc/ld.so.conf.d/fuzz.conf"] = file(conf)
		for _, name := range []string{"usr/bin/fuzz", "usr/bin/prog"} {
			got, err := Closure(fsys, name)
			if err != nil {
				if strings.Contains(err.Error(), "\n") {
					t.Fatalf("more than one line: %v", err)
				}
				continue
			}
			for _, f := range got {
				if at, err := Resolve(fsys, f.Name); err != nil || at != f.Path {
					t.Fatalf("%s leads to %s, not %s: %v", f.Name, at, f.Path, err)
				}
			}
			again, err := Closure(fsys, name)
			if diff := cmp.Diff(got, again); diff != "" || err != nil || !slices.IsSortedFunc(got, byName) {
				t.Fatalf("not the same again, or not sorted: %v\n%s", err, diff)
			}
		}
	})
}

func byName(a, b File) int { return strings.Compare(a.Name, b.Name) }
