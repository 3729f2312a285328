package initrd

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// usr is an archive as mkinitramfs lays it out: usr-merged, sorted, the hard
// links at the end with the content on the last.
func usr() []Entry {
	all := []Entry{dir("."), symlink("bin", "usr/bin"), dir("conf"), file("conf/arch.conf", "DPKG_ARCH=amd64\n"),
		file("init", "#!/bin/sh\n"), symlink("sbin", "bin"), dir("usr"), dir("usr/bin"), file("usr/bin/zz", "last"),
		hardlink(50, 3, "usr/bin/c", ""), hardlink(50, 3, "usr/bin/b", ""), hardlink(50, 3, "usr/bin/a", "busybox")}
	for i := range all {
		all[i].Mtime, all[i].Dev = 1700000000, Device{8, 1}
		if all[i].Ino == 0 {
			all[i].Ino = uint32(i + 1)
		}
	}
	all[7].Mode = TypeDir | 0o700
	return all
}

func put(t *testing.T, img *Image, name string, f File) {
	t.Helper()
	if changed, err := img.Put(name, f); err != nil || !changed {
		t.Fatalf("Put(%q): %v, %v", name, changed, err)
	}
}

func names(s *Segment) (all []string) {
	for _, e := range s.Entries {
		all = append(all, e.Name)
	}
	return all
}

// New files keep the order and the conventions of what is around them.
func TestPutNew(t *testing.T) {
	for _, prefix := range []string{"", "./"} {
		in := usr()
		for i := range in[1:] {
			in[i+1].Name = prefix + in[i+1].Name
		}
		img := read(t, run(in...))
		put(t, img, "/bin/dir/new", File{Mode: TypeFile | 0o755, Data: []byte("new")})
		put(t, img, "conf/arch-x", File{Mode: TypeLink | 0o777, Data: []byte("arch.conf")})
		again := read(t, write(t, img))
		want := strings.Fields(". bin conf conf/arch-x conf/arch.conf init sbin usr usr/bin usr/bin/dir usr/bin/dir/new" +
			" usr/bin/zz usr/bin/c usr/bin/b usr/bin/a")
		for i := range want[1:] {
			want[i+1] = prefix + want[i+1]
		}
		if diff := cmp.Diff(want, names(again.Segments[0])); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		made, e := again.Lookup("usr/bin/dir"), again.Lookup("sbin/dir/new")
		if made.Mode != TypeDir|0o700 || made.Nlink != 2 || e.Mode != TypeFile|0o755 || e.Nlink != 1 {
			t.Errorf("%v with %d links, %v with %d", made, made.Nlink, e, e.Nlink)
		}
		inodes := map[uint32]bool{}
		for _, e := range again.Segments[0].Entries[:12] {
			if e.Mtime != 1700000000 || e.Dev != (Device{8, 1}) || e.UID != 0 || inodes[e.Ino] {
				t.Errorf("%s: mtime %d, dev %v, uid %d, inode %d", e.Name, e.Mtime, e.Dev, e.UID, e.Ino)
			}
			inodes[e.Ino] = true
		}
	}
}

// An edit goes where the archive's own symlinks lead, never out of it.
func TestPutThroughLinks(t *testing.T) {
	in := append(usr(), symlink("chain", "hop"), symlink("hop", "/./sbin/../bin/"), symlink("loop", "loop"),
		symlink("out", "../../etc"), symlink("nowhere", "not/there"))
	for name, want := range map[string]string{
		"bin/zz": "usr/bin/zz", "sbin/zz": "usr/bin/zz", "chain/zz": "usr/bin/zz", "/usr/bin/zz": "usr/bin/zz",
		"chain/d/e": "usr/bin/d/e", "nowhere/x": "not/there/x", "bin": "bin",
		"loop/x": "", "out/passwd": "", "../x": "", "conf/../../x": "", ".": "", "": "", "init/x": "", "TRAILER!!!": "",
	} {
		img := read(t, run(in...))
		before := write(t, img)
		mode := uint32(TypeFile | 0o600)
		if name == "bin" {
			mode = TypeLink | 0o777
		}
		_, err := img.Put(name, File{Mode: mode, Data: []byte("put")})
		if want == "" {
			if err == nil || !bytes.Equal(write(t, img), before) {
				t.Errorf("%q: %v, %v", name, err, img.Edits())
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got := read(t, write(t, img))
		if e := got.Lookup(want); e == nil || string(e.Data) != "put" || e.Name != want {
			t.Errorf("%q: %v at %q", name, e, want)
		}
	}
}

// Of two copies the later changes, and only its segment is encoded again.
func TestPutLastCopy(t *testing.T) {
	first, second := run(dir("."), file("f", "one"), file("g", "g")), run(dir("."), file("f", "two"))
	for _, c := range compressions {
		if c == None || c == Lzma || c == Bzip2 || c == Lzo {
			continue
		}
		packed := append(pack(t, c, first), make([]byte, 6)...)
		in := join(packed, pack(t, c, second))
		img := read(t, in)
		put(t, img, "f", File{Data: []byte("changed")})
		if img.Segments[0].Edited() || !img.Segments[1].Edited() {
			t.Errorf("%s: edited %v, %v", c, img.Segments[0].Edited(), img.Segments[1].Edited())
		}
		out := write(t, img)
		if !bytes.HasPrefix(out, packed) {
			t.Errorf("%s: the other segment changed", c)
		}
		if b, err := read(t, out).ReadFile("f"); string(b) != "changed" || err != nil {
			t.Errorf("%s: %q, %v", c, b, err)
		}
		if got := unpack(t, c, out[len(packed):]); !bytes.Equal(got, run(dir("."), file("f", "changed"))) {
			t.Errorf("%s: the tool reads another segment", c)
		}
	}
}

// What changes nothing leaves the archive as it came.
func TestPutNoChange(t *testing.T) {
	for name, b := range fixtures(t) {
		img := read(t, b)
		for path, e := range img.Tree() {
			for _, mode := range []uint32{0, e.Mode} {
				changed, err := img.Put(path, File{Mode: mode, Data: img.Content(e)})
				if path != "." && (changed || err != nil) {
					t.Fatalf("%s: %s: %v, %v", name, path, changed, err)
				}
			}
		}
		if len(img.Edits()) != 0 || !bytes.Equal(write(t, img), b) {
			t.Errorf("%s changed", name)
		}
		var out bytes.Buffer
		if _, err := img.WriteAppended(&out, Gzip, 0); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Errorf("%s: appended nothing: %v", name, err)
		}
	}
}

func TestPutRefuses(t *testing.T) {
	for name, f := range map[string]File{
		"conf":     {Mode: TypeFile | 0o644},
		"init":     {Mode: TypeDir | 0o755},
		"new":      {Mode: 0o644},
		"node":     {Mode: TypeChar | 0o600},
		"link":     {Mode: TypeLink | 0o777},
		"nul":      {Mode: TypeLink | 0o777, Data: []byte("a\x00b")},
		"conf/new": {Mode: TypeDir | 0o755, Data: []byte("content")},
	} {
		img := read(t, run(usr()...))
		if changed, err := img.Put(name, f); changed && err == nil || err == nil {
			t.Errorf("%s: %+v was put", name, f)
		}
		if !bytes.Equal(write(t, img), run(usr()...)) {
			t.Errorf("%s: a refusal changed the archive", name)
		}
	}
}

// A device node's mode can change; its number stays.
func TestPutDevice(t *testing.T) {
	img := read(t, run(dir("."), Entry{Name: "console", Mode: TypeChar | 0o600, Nlink: 1, Rdev: Device{5, 1}}))
	put(t, img, "console", File{Mode: TypeChar | 0o666})
	if e := read(t, write(t, img)).Lookup("console"); e.Rdev != (Device{5, 1}) || e.Perm() != 0o666 {
		t.Errorf("%v %v", e, e.Rdev)
	}
}

// One name of a hard-linked file is replaced: the others keep their content.
func TestPutHardLink(t *testing.T) {
	for _, name := range []string{"usr/bin/a", "usr/bin/b", "usr/bin/c"} {
		img := read(t, run(usr()...))
		put(t, img, name, File{Data: []byte("own")})
		if _, err := img.WriteAppended(&bytes.Buffer{}, None, 0); err == nil || !strings.Contains(err.Error(), "hard links") {
			t.Errorf("%s: appended: %v", name, err)
		}
		again := read(t, write(t, img))
		id := again.Lookup(map[bool]string{true: "usr/bin/b", false: "usr/bin/a"}[name == "usr/bin/a"]).LinkID()
		for _, other := range []string{"usr/bin/a", "usr/bin/b", "usr/bin/c"} {
			e, want, nlink := again.Lookup(other), "busybox", uint32(2)
			if other == name {
				want, nlink = "own", 1
			}
			if string(again.Content(e)) != want || e.Nlink != nlink || (e.LinkID() == id) != (other != name) {
				t.Errorf("%s replaced: %s is %q with %d links", name, other, again.Content(e), e.Nlink)
			}
		}
	}
}

// A later segment that opens one name of a hard-linked file writes into all.
func TestSharedFile(t *testing.T) {
	img := read(t, join(run(usr()...), run(file("usr/bin/b", "newer"))))
	for _, name := range []string{"usr/bin/a", "usr/bin/b", "bin/c"} {
		if b, err := img.ReadFile(name); string(b) != "newer" || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	img = read(t, join(run(usr()...), run(symlink("usr/bin/b", "zz"))))
	if b, _ := img.ReadFile("usr/bin/a"); string(b) != "busybox" {
		t.Errorf("a symlink in one name's place changed the others: %q", b)
	}
}

func TestPutLinks(t *testing.T) {
	img := read(t, join(run(usr()...), run(dir("."), dir("opt"), file("opt/x", ""))))
	judge.Must(t, img.PutLinks([]string{"opt/b", "bin/d", "opt/a"}, File{Mode: TypeFile | 0o755, Data: []byte("links")}))
	again := read(t, write(t, img))
	tail := again.Segments[1].Entries[3:]
	for i, want := range []string{"usr/bin/d", "opt/b", "opt/a"} {
		e := tail[i]
		if e.Name != want || e.Nlink != 3 || e.Ino != tail[0].Ino || (len(e.Data) > 0) != (i == 2) {
			t.Errorf("record %d: %+v", i, e)
		}
		if string(again.Content(again.Lookup(want))) != "links" || again.Lookup(want).LinkID() != tail[0].LinkID() {
			t.Errorf("%s is not linked", want)
		}
	}
	if !bytes.Equal(write(t, img)[:img.Segments[1].Offset], run(usr()...)) {
		t.Error("the first segment changed")
	}
	var out bytes.Buffer
	judge.Value(img.WriteAppended(&out, Zstd, 0))(t)
	if diff := cmp.Diff(tree(again), tree(read(t, out.Bytes()))); diff != "" {
		t.Errorf("appended (-repacked +appended):\n%s", diff)
	}
	for _, bad := range [][]string{{"init", "new"}, {"same", "./same"}, {"bin/q", "usr/bin/q"}, {"x", "../y"}} {
		before := write(t, img)
		if err := img.PutLinks(bad, File{Mode: TypeFile | 0o755}); err == nil || !bytes.Equal(before, write(t, img)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRemove(t *testing.T) {
	img := read(t, join(run(usr()...), pack(t, Gzip, run(dir("."), dir("usr"), dir("usr/bin"), file("bin/zz", "again")))))
	for _, bad := range []string{"usr", "nothing", ".", "../x"} {
		if err := img.Remove(bad); err == nil {
			t.Errorf("removed %q", bad)
		}
	}
	for _, name := range []string{"bin/zz", "conf/arch.conf", "conf", "usr/bin/a"} {
		judge.Must(t, img.Remove(name))
	}
	if _, err := img.WriteAppended(&bytes.Buffer{}, None, 0); err == nil {
		t.Error("a removal was appended")
	}
	again := read(t, write(t, img))
	for _, s := range again.Segments {
		for _, e := range s.Entries {
			if slices.Contains([]string{"bin/zz", "usr/bin/zz", "conf", "conf/arch.conf", "usr/bin/a"}, e.Name) {
				t.Errorf("%s is still there", e.Name)
			}
		}
	}
	if e := again.Lookup("bin/b"); string(again.Content(e)) != "busybox" || e.Nlink != 2 {
		t.Errorf("what is left of the hard links: %v %q", e, again.Content(e))
	}
}

// Edits says what was done, once for each path.
func TestEdits(t *testing.T) {
	img := read(t, run(usr()...))
	put(t, img, "bin/new/deep", File{Mode: TypeFile | 0o644, Data: []byte("1")})
	put(t, img, "bin/new/deep", File{Data: []byte("2")})
	put(t, img, "init", File{Data: []byte("3")})
	put(t, img, "gone", File{Mode: TypeFile | 0o644})
	judge.Must(t, img.Remove("gone"))
	judge.Must(t, img.Remove("conf/arch.conf"))
	var got []string
	for _, ed := range img.Edits() {
		line := ed.Name
		if ed.Before != nil {
			line += " -" + string(ed.Before.Data)
		}
		if ed.After != nil {
			line += " +" + string(ed.After.Data)
		}
		got = append(got, strings.ReplaceAll(line, "\n", "$"))
	}
	want := []string{"conf/arch.conf -DPKG_ARCH=amd64$", "init -#!/bin/sh$ +3", "usr/bin/new +", "usr/bin/new/deep +2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
