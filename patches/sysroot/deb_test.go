package sysroot

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

var compressed = []string{"", ".gz", ".zst", ".xz", ".bz2", ".lzma"}

func sample() []tar.Header {
	return []tar.Header{directory("./"), directory("./usr/"), directory("./usr/bin/"),
		regular("./usr/bin/tool", strings.Repeat("tool ", 300)), hardlink("./usr/bin/same", "./usr/bin/tool"),
		symlink("./usr/bin/alias", "tool"), {Typeflag: tar.TypeChar, Name: "./usr/null"},
		{Typeflag: tar.TypeReg, Name: "./usr/bin/su", Uname: "x", Mode: 0o4755},
		regular("./usr/share/doc/"+strings.Repeat("long", 40)+"/readme", "long")}
}

// dpkg-deb judges: what it extracts from a package is what the tree shows.
func TestDebAsDpkgExtractsIt(t *testing.T) {
	tool := judge.Tool(t, "dpkg-deb")
	for _, ending := range compressed {
		t.Run("data.tar"+ending, func(t *testing.T) {
			var entries []tar.Header
			for _, h := range sample() {
				if h.Typeflag != tar.TypeChar { // takes root to extract
					entries = append(entries, h)
				}
			}
			pkg, dir := writeDeb(t, deb(t, ending, entries...)), t.TempDir()
			run(t, tool, "-x", pkg, dir)
			want := snapshot(t, open(t, Dir(dir)))
			if diff := cmp.Diff(want, snapshot(t, open(t, Debs(pkg)))); diff != "" {
				t.Errorf("(-dpkg-deb +got):\n%s", diff)
			}
		})
	}
}

// And the other way round: packages that dpkg-deb builds show what went in.
func TestDebAsDpkgBuildsIt(t *testing.T) {
	tool := judge.Tool(t, "dpkg-deb")
	dir := writeTree(t, t.TempDir(), map[string]string{
		"usr/lib/x": strings.Repeat("content", 10000), "usr/lib/link": "-> /usr/lib/x", "etc/conf": "c", "var/empty": "/",
	})
	judge.Must(t, os.Link(filepath.Join(dir, "usr/lib/x"), filepath.Join(dir, "usr/lib/y")))
	want := snapshot(t, open(t, Dir(dir)))
	writeTree(t, dir, map[string]string{"DEBIAN/control": "Package: p\nVersion: 1\nArchitecture: all\n" +
		"Maintainer: Nobody <nobody@example.org>\nDescription: test\n"})
	for _, kind := range []string{"none", "gzip", "xz", "zstd"} {
		pkg := filepath.Join(t.TempDir(), "p.deb")
		run(t, tool, "--root-owner-group", "-Z"+kind, "-b", dir, pkg)
		if diff := cmp.Diff(want, snapshot(t, open(t, Debs(pkg)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// dpkg itself judges where a package's files land over a tree with links. All of
// them are relative: dpkg --instdir would follow an absolute one to the host's own.
func TestDebOverTreeAsDpkgUnpacksIt(t *testing.T) {
	tool := judge.Tool(t, "dpkg")
	before := map[string]string{
		"usr/lib/old": "old", "lib": "-> usr/lib", "opt/a": "-> ../usr/lib", "opt/keep/x": "x", "etc/file": "low",
		"broken": "-> nowhere", "etc/dir/in": "in",
	}
	pkg := writeDeb(t, deb(t, "", directory("./"), directory("./lib/"), directory("./lib/x/"),
		regular("./lib/x/new", "new"), directory("./opt/"), directory("./opt/a/"), regular("./opt/a/old", "newer"),
		symlink("./opt/keep", "../etc"), directory("./etc/"), regular("./etc/file", "high"),
		directory("./usr/"), directory("./usr/lib/"), hardlink("./usr/lib/linked", "./lib/x/new")))

	dir := writeTree(t, t.TempDir(), before)
	admin := writeTree(t, t.TempDir(), map[string]string{"status": "", "info": "/", "updates": "/", "triggers": "/"})
	run(t, tool, "--force-not-root", "--force-bad-path", "--admindir="+admin, "--instdir="+dir, "--unpack", pkg)
	want := snapshot(t, open(t, Dir(dir)))
	got := snapshot(t, open(t, Dir(writeTree(t, t.TempDir(), before)), Debs(pkg)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-dpkg +got):\n%s", diff)
	}
}

// unpackOnly is a package in memory as a tree of its own.
func unpackOnly(b []byte, limit int64) (*Tree, error) {
	m := newMemory()
	below := newTree()
	p := &placer{mem: m, below: below, left: limit, limit: limit, packages: make([]Package, 1)}
	err := unpackDeb(bytes.NewReader(b), p)
	tree := newTree()
	tree.layers, tree.packages, tree.limit = []namedLayer{{"test.deb", m}}, p.packages, DefaultLimit
	return tree, err
}

// Every cut fails, none panics; so does every flipped byte of what a checksum covers.
func TestDebCut(t *testing.T) { debCut(t, 5) }

// debCut tries one place in some.
func debCut(t *testing.T, one int) {
	for _, ending := range compressed {
		b := deb(t, ending, sample()...)
		if _, err := unpackOnly(b, DefaultLimit); err != nil {
			t.Fatalf("%q: %v", ending, err)
		}
		for n := 0; n < len(b); n += one {
			if _, err := unpackOnly(b[:n], DefaultLimit); err == nil {
				t.Errorf("%q: the first %d of %d bytes pass for a package", ending, n, len(b))
			}
		}
		data := bytes.LastIndex(b, []byte("`\n")) + 2 // data.tar is the last member
		for i := data; i < len(b)-1 && ending != ""; i += one {
			bad := bytes.Clone(b)
			bad[i] ^= 0x10
			if got, err := unpackOnly(bad, DefaultLimit); err == nil {
				same, _ := unpackOnly(b, DefaultLimit)
				if diff := cmp.Diff(snapshot(t, same), snapshot(t, got)); diff != "" {
					t.Errorf("%q: byte %d flipped, and no error:\n%s", ending, i, diff)
				}
			}
		}
	}
	whole := tarball(t, regular("./a", "a"), regular("./b", "b"))
	b := archive(t, member{"debian-binary", []byte("2.0\n")}, member{"control.tar", nil}, member{"data.tar", whole[:1024]})
	if _, err := unpackOnly(b, DefaultLimit); err == nil {
		t.Error("a data.tar cut between two files passes for a whole one")
	}
}

func TestDebRefused(t *testing.T) {
	version, data := member{"debian-binary", []byte("2.0\n")}, member{"data.tar", tarball(t)}
	ctl := member{"control.tar.gz", squeeze(t, ".gz", control(t, "p"))}
	sparse := tar.Header{Typeflag: tar.TypeReg, Name: "s", PAXRecords: map[string]string{"GNU.sparse.map": "0,1"}}
	for want, b := range map[string][]byte{
		"leads out of the package":   deb(t, "", regular("./usr/../../etc/x", "x")),
		"which does not come":        deb(t, "", hardlink("./a", "./b")),
		"nowhere: symbolic link":     deb(t, "", symlink("./nowhere", "/none"), regular("./nowhere/x", "x")),
		"too many levels":            deb(t, "", symlink("./a", "a"), regular("./a/x", "x")),
		"not a directory":            deb(t, "", regular("./a", ""), regular("./a/x", "x")),
		"more than 100000 bytes":     deb(t, ".gz", regular("./big", strings.Repeat("\x00", 200000))),
		"bad name":                   deb(t, "", regular(strings.Repeat("d/", 200)+"x", "")),
		`format version "3.0"`:       archive(t, member{"debian-binary", []byte("3.0\n")}, ctl, data),
		"where control.tar should":   archive(t, version, data, ctl),
		"data.tar: unexpected EOF":   archive(t, version, ctl),
		"unknown compression":        archive(t, version, ctl, member{"data.tar.rar", nil}),
		"where data.tar should":      archive(t, version, ctl, member{"data.tarball", nil}),
		"no ar archive":              []byte("PK\x03\x04"),
		"it is empty":                {},
		"data.tar: damaged: it ends": archive(t, version, ctl, member{"data.tar", tarball(t, regular("./a", "a"))[:600]}),
		"debian-binary: unexpected":  []byte(arMagic),
	} {
		if _, err := unpackOnly(b, 100000); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one line with %q", err, want)
		}
	}
	if err := (&placer{names: map[string]*memoryNode{}}).placeEntry(&sparse, strings.NewReader("")); err == nil {
		t.Error("a sparse file passes")
	}
}

// An ar header may claim anything; none of it may panic or pass.
func TestArHeaders(t *testing.T) {
	for _, size := range []string{"-1", "", "x", "9999999999", "0x10", "+4", "4 4", "1e1", "٤"} {
		head := fmt.Sprintf("%s%-16s%-12s%-6s%-6s%-8s%-10s`\n", arMagic, "debian-binary", "0", "0", "0", "", size)
		if _, err := unpackOnly([]byte(head+"2.0\n"), DefaultLimit); err == nil {
			t.Errorf("a member of %q bytes passes", size)
		}
	}
}

// Of a member's header nothing counts but its name and size.
func TestArModes(t *testing.T) {
	for _, mode := range []string{"1", "", "7", "100644", "99999999", "-1", "x\x00\xff\n"} {
		b := []byte(arMagic)
		for _, m := range []member{{"debian-binary", []byte("2.0\n")}, {"control.tar", control(t, "p")}, {"data.tar", tarball(t, regular("./a", "a"))}} {
			b = append(b, arMember(m.name+"/", mode, m.data)...)
		}
		tree, err := unpackOnly(b, DefaultLimit)
		if err != nil {
			t.Errorf("mode %q: %v", mode, err)
			continue
		}
		pkg := tree.Packages()[0]
		if !strings.HasPrefix(string(pkg.Control), "Package: p\n") || !slices.Equal(pkg.Names, []string{"a"}) {
			t.Errorf("mode %q: %q, %q", mode, pkg.Control, pkg.Names)
		}
	}
}

// A directory's own name means nothing but itself, and what is no regular file is
// refused and not waited for.
func TestDebFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]c*?\\")
	judge.Must(t, os.Mkdir(dir, 0o755))
	for _, name := range []string{"2.deb", "1.deb", "[x].deb"} {
		judge.Must(t, os.WriteFile(filepath.Join(dir, name), deb(t, "", regular("./"+name, name)), 0o644))
	}
	files, err := DebFiles(dir)
	if want := []string{filepath.Join(dir, "1.deb"), filepath.Join(dir, "2.deb"), filepath.Join(dir, "[x].deb")}; err != nil || !slices.Equal(files, want) {
		t.Errorf("%q, %v", files, err)
	}
	tree := open(t, Debs(dir))
	if len(tree.Packages()) != 3 {
		t.Errorf("%d packages", len(tree.Packages()))
	}
	judge.Must(t, syscall.Mkfifo(filepath.Join(dir, "0.deb"), 0o644))
	if _, err := Open(Debs(dir)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a named pipe: %v", err)
	}
}

// The packages of all layers share one limit.
func TestDebLayersShareTheLimit(t *testing.T) {
	big := writeDeb(t, deb(t, ".gz", regular("./big", strings.Repeat("x", 100000))))
	open(t, Debs(big).Limit(150000))
	if _, err := Open(Debs(big).Limit(150000), Debs(big).Limit(150000)); err == nil || !strings.Contains(err.Error(), "more than 150000 bytes") {
		t.Errorf("twice as much: %v", err)
	}
}

func TestHardLinksShareContent(t *testing.T) {
	tree, err := unpackOnly(deb(t, "", sample()...), DefaultLimit)
	judge.Must(t, err)
	m := tree.layers[0].layerStore.(*memoryStore)
	a, err := m.findNode("usr/bin/tool")
	judge.Must(t, err)
	if b, err := m.findNode("usr/bin/same"); err != nil || a != b {
		t.Errorf("two copies of a hard-linked file: %v", err)
	}
	ids := map[any][]string{}
	for name := range snapshot(t, tree) {
		info, err := tree.Lstat(name)
		judge.Must(t, err)
		if id := info.(interface{ LinkID() any }).LinkID(); id != nil {
			ids[id] = append(ids[id], name)
		}
	}
	if len(ids) != 1 || len(ids[a]) != 2 {
		t.Errorf("hard links: %v", ids)
	}
	tree.read.Store(0)
	tree.limit = int64(len(a.data)) / maxReads // what its names may be read to in all has a bound
	_, err = tree.ReadFile("usr/bin/tool")
	if _, again := tree.ReadFile("usr/bin/same"); err != nil || !errors.Is(again, ErrTooLarge) {
		t.Errorf("read twice: %v, %v", err, again)
	}
}

// What a package has besides files is in the tree, with owners and a device's numbers, and cannot be read; so it is over another tree, whose directories keep
// their owners.
func TestDebOwnersAndDevices(t *testing.T) {
	owned := func(h tar.Header, uid, gid int) tar.Header {
		h.Uid, h.Gid = uid, gid
		return h
	}
	low := deb(t, "", owned(directory("./opt/"), 7, 8))
	high := deb(t, "", directory("./dev/"), owned(tar.Header{Typeflag: tar.TypeChar, Name: "./dev/mem", Mode: 0o666, Devmajor: 1, Devminor: 1}, 0, 15),
		tar.Header{Typeflag: tar.TypeBlock, Name: "./dev/loop0", Mode: 0o660, Devmajor: 7}, tar.Header{Typeflag: tar.TypeFifo, Name: "./dev/fifo", Mode: 0o622},
		owned(regular("./opt/wall", "wall"), 0, 5), owned(symlink("./opt/link", "wall"), 1000, 1000))
	tree := open(t, Debs(writeDeb(t, low)), Debs(writeDeb(t, high)))
	for name, want := range map[string]string{
		"opt": "drwxr-xr-x 7:8 0,0", "opt/wall": "-rwxr-xr-x 0:5 0,0", "opt/link": "Lrwxr-xr-x 1000:1000 0,0",
		"dev/mem": "Dcrw-rw-rw- 0:15 1,1", "dev/loop0": "Drw-rw---- 0:0 7,0", "dev/fifo": "prw--w--w- 0:0 0,0",
	} {
		info := judge.Value(tree.Lstat(name))(t)
		sys, ok := info.Sys().(*tar.Header)
		if !ok {
			t.Fatalf("%s: %T", name, info.Sys())
		}
		if got := fmt.Sprintf("%v %d:%d %d,%d", info.Mode(), sys.Uid, sys.Gid, sys.Devmajor, sys.Devminor); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if _, err := tree.ReadFile(name); strings.HasPrefix(name, "dev/") && !errors.Is(err, errNotRegular) {
			t.Errorf("%s was read: %v", name, err)
		}
	}
}

// FuzzDeb: anything that passes is a well-behaved file system, twice the same.
func FuzzDeb(f *testing.F) {
	for _, ending := range compressed[:3] {
		f.Add(deb(f, ending, sample()...))
	}
	f.Add(deb(f, "", symlink("./lib", "usr/lib"), directory("./usr/lib/"), regular("./lib/x", "x")))
	f.Add(deb(f, "", directory("./usr/"), directory("./usr/n\xff/"), regular("./usr/n\xff/x", "x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := unpackOnly(b, 1<<20)
		if err != nil {
			if tree == nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("no one-line error: %v", err)
			}
			return
		}
		got := snapshot(t, tree)
		// A name of Linux is any bytes, and so it is here; fs.Sub, which TestFS calls, takes none that is not UTF-8.
		// Nor does it read what is no file.
		special := slices.ContainsFunc(slices.Collect(maps.Values(got)), func(what string) bool { return strings.ContainsAny(what[:1], "Dpc") })
		text := !special && !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(name string) bool { return !utf8.ValidString(name) })
		if err := fstest.TestFS(tree, slices.Collect(maps.Keys(got))...); err != nil && text {
			t.Fatal(err)
		}
		again, err := unpackOnly(b, 1<<20)
		judge.Must(t, err)
		if diff := cmp.Diff(got, snapshot(t, again)); diff != "" {
			t.Fatal(diff)
		}
	})
}

var _ io.ReaderAt = (*nodeFile)(nil) // what debug/elf and others like to have
