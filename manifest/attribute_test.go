package manifest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/handmade"
	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/initrd/debian/dpkg"
	"groundhog/manifest"

	"github.com/google/go-cmp/cmp"
)

func TestAttribute(t *testing.T) {
	img := archive(t, dir("."), link("bin", "usr/bin"), dir("conf"), file("conf/modules", "mii \n"),
		dir("etc"), file("etc/curl.conf", "changed"), file("etc/empty", ""), file("etc/fstab", ""), file("etc/strange", "?"),
		dir("etc/groundhog"), file(manifest.RecordPath, record),
		file("init", "#!/bin/sh"), dir("scripts"), dir("scripts/init-top"), file("scripts/init-top/ORDER", "x"),
		dir("usr"), dir("usr/bin"), file("usr/bin/tool", "ours"), file("usr/bin/tool.distrib", "theirs"), file("usr/bin/editor", "vi"),
		file("usr/bin/curl", "patched"), hard("usr/bin/a", "", 9, 2), hard("usr/bin/copy-of-curl", "curl", 9, 2),
		dir("usr/lib"), dir("usr/lib/x"), link("usr/lib/x/libz.so.1", "libz.so.1.2"), file("usr/lib/x/libz.so.1.2", "zlib"),
		link("usr/lib/x/libz.so", "libz.so.1"), link("usr/lib/x/other", "nowhere"))
	m := of(t, img)
	judge.Must(t, m.Attribute(handmade.Debian()))
	pkg := func(name, arch, path string, modified bool) *manifest.Origin {
		return &manifest.Origin{Kind: manifest.FromPackage, Name: name, Architecture: arch, Path: path, Modified: modified}
	}
	made := func(by string) *manifest.Origin {
		return &manifest.Origin{Kind: manifest.FromGenerator, Name: by}
	}
	want := map[string]*manifest.Origin{
		"bin": made("mkinitramfs"), "conf/modules": made("mkinitramfs"), "etc/fstab": made("mkinitramfs"),
		"scripts/init-top/ORDER": made("mkinitramfs"),
		"etc/curl.conf":          pkg("curl", "amd64", "", true),
		"etc/empty":              pkg("curl", "amd64", "", false),
		"etc/strange":            {Kind: manifest.FromUnknown},
		manifest.RecordPath:      {Kind: manifest.FromGroundhog, Name: "groundhog"},
		"init":                   pkg("mine", "all", "usr/share/initramfs-tools/init", false),
		"usr/bin/tool":           pkg("mine", "all", "", false),
		"usr/bin/tool.distrib":   pkg("theirs", "all", "", false),
		"usr/bin/editor":         pkg("theirs", "all", "usr/bin/vi.tiny", false),
		"usr/bin/curl":           {Kind: manifest.FromGroundhog, Name: "curl"},
		"usr/bin/a":              {Kind: manifest.FromUnknown},
		"usr/bin/copy-of-curl":   {Kind: manifest.FromUnknown},
		"usr/lib/x/libz.so.1":    pkg("zlib1g", "amd64", "", false),
		"usr/lib/x/libz.so.1.2":  pkg("zlib1g", "amd64", "", false),
		"usr/lib/x/libz.so":      pkg("zlib1g", "amd64", "", false),
		"usr/lib/x/other":        {Kind: manifest.FromUnknown},
	}
	got := map[string]*manifest.Origin{}
	for _, e := range m.Entries {
		if e.Origin != nil {
			got[e.Path] = e.Origin
		} else if e.Type != manifest.Dir {
			t.Errorf("%s: no origin", e.Path)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	packages := []manifest.Package{
		{Name: "curl", Version: "7.88-1", Architecture: "amd64", Source: "curl", SourceVersion: "7.88-1", Files: 2, Bytes: 7},
		{Name: "mine", Version: "1", Architecture: "all", Source: "mine", SourceVersion: "1", Files: 2, Bytes: 13},
		{Name: "theirs", Version: "2", Architecture: "all", Source: "theirs-src", SourceVersion: "2", Files: 2, Bytes: 8},
		{Name: "zlib1g", Version: "1:1.2-3+b1", Architecture: "amd64", Source: "zlib", SourceVersion: "1.2-3", Files: 3, Bytes: 4}}
	if diff := cmp.Diff(packages, m.Packages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	validate(t, encode(t, m))
}

// Whether an archive's contents are at hand or not, what is said of them is the same, and they are hashed by MD5 where a package has that on
// record alone.
func TestAttributeArchive(t *testing.T) {
	long := strings.Repeat("a library of several buffers\n", 20000)
	other := long[:len(long)-1] + "!"
	for name, root := range systems() {
		for at, text := range map[string]string{"usr/lib/x/liblong.so": long, "usr/lib/x/libother.so": other, "usr/lib/x/libshort.so": long[:200<<10]} {
			root[at] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		}
		for _, record := range []struct{ name, text string }{
			{"list", "/usr/lib/x/liblong.so\n/usr/lib/x/libother.so\n/usr/lib/x/libshort.so\n"},
			{"md5sums", handmade.MD5(long) + "  usr/lib/x/liblong.so\n" + handmade.MD5(long) + "  usr/lib/x/libother.so\n"},
		} {
			f := *root["var/lib/dpkg/info/zlib1g:amd64."+record.name]
			f.Data = append(slices.Clone(f.Data), record.text...)
			root["var/lib/dpkg/info/zlib1g:amd64."+record.name] = &f
		}
		img := archive(t, link("bin", "usr/bin"), dir("etc"), file("etc/curl.conf", "changed"), file("etc/empty", ""), dir("usr"), dir("usr/bin"), file("usr/bin/tool", "ours"),
			file("usr/bin/curl", "curl"), hard("usr/bin/b", "", 9, 2), hard("usr/bin/vi.tiny", "vi", 9, 2), dir("usr/lib"), dir("usr/lib/x"), file("usr/lib/x/libz.so.1.2", "zlib"),
			file("usr/lib/x/liblong.so", long), file("usr/lib/x/libother.so", other), file("usr/lib/x/libshort.so", other[:200<<10]))
		var b bytes.Buffer
		judge.Value(img.WriteTo(&b))(t)
		skimmed := judge.Value(initrd.Skim(&b, initrd.Limits{}, func(_ string, size int64) bool { return size < 100 }))(t)
		want := of(t, img)
		wantErr := want.Attribute(root)
		for how, img := range map[string]*initrd.Image{"held": img, "skimmed": skimmed} {
			got := of(t, img)
			if err := got.AttributeArchive(root, img); (err == nil) != (wantErr == nil) {
				t.Errorf("%s, %s: %v, want %v", name, how, err, wantErr)
			}
			if diff := cmp.Diff(string(encode(t, want)), string(encode(t, got))); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, how, diff)
			}
		}
		for path, modified := range map[string]bool{"usr/lib/x/liblong.so": false, "usr/lib/x/libother.so": true} {
			i := slices.IndexFunc(want.Entries, func(e manifest.Entry) bool { return e.Path == path })
			if o := want.Entries[i].Origin; wantErr == nil && name != "a link further down" && (o.Name != "zlib1g" || o.Modified != modified) {
				t.Errorf("%s: %s: %+v", name, path, o)
			}
		}
	}
}

// Where /bin is a directory of its own, what a package has there is found for
// an archive whose /bin is merged.
func TestAttributeUnmerged(t *testing.T) {
	root := handmade.Debian()
	delete(root, "bin")
	root["bin/curl"] = root["usr/bin/curl"]
	delete(root, "usr/bin/curl")
	m := of(t, archive(t, dir("usr"), dir("usr/bin"), file("usr/bin/curl", "curl")))
	judge.Must(t, m.Attribute(root))
	if o := m.Entries[2].Origin; o.Name != "curl" || o.Path != "" {
		t.Errorf("%+v", o)
	}
}

// Where a tree was merged otherwise than dpkg has on record (by hand, or half), what a package has is found on the other side of /usr, in an archive and
// in the tree itself; what else is there belongs to nobody, and what another package has there is that one's.
func TestAttributeOtherSide(t *testing.T) {
	for name, c := range map[string]struct {
		list, sums string // of zlib1g
		lib, usr   string // contents of lib/y/so and usr/lib/y/so; "": none
		other      string // what mine has on record
		have       string // content of the archive's usr/lib/y/so
		want       string // whose it is
	}{
		"recorded in /lib, is in /usr":              {"/lib/y/so\n", "z", "", "z", "", "z", "zlib1g"},
		"recorded in /usr, is in /lib":              {"/usr/lib/y/so\n", "z", "z", "", "", "z", "zlib1g"},
		"the same, without sums":                    {"/usr/lib/y/so\n", "", "z", "", "", "z", "zlib1g"},
		"another file in /usr":                      {"/lib/y/so\n", "z", "", "strange", "", "strange", ""},
		"both, and the archive has the package's":   {"/lib/y/so\n", "z", "z", "strange", "", "z", "zlib1g"},
		"both, and the archive has the other":       {"/lib/y/so\n", "z", "z", "strange", "", "strange", ""},
		"both, of whose sums nothing is known":      {"/lib/y/so\n", "", "z", "strange", "", "strange", ""},
		"another package has the other side's file": {"/lib/y/so\n", "", "", "m", "/usr/lib/y/so\n", "m", "mine"},
		"neither": {"/lib/y/so\n", "z", "", "", "", "z", ""},
	} {
		root := handmade.Debian()
		delete(root, "lib")
		for at, content := range map[string]string{"lib/y/so": c.lib, "usr/lib/y/so": c.usr} {
			if content != "" {
				root[at] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
			}
		}
		root["var/lib/dpkg/info/zlib1g:amd64.list"] = &fstest.MapFile{Data: []byte(c.list)}
		root["var/lib/dpkg/info/zlib1g:amd64.md5sums"] = &fstest.MapFile{}
		if c.sums != "" {
			root["var/lib/dpkg/info/zlib1g:amd64.md5sums"].Data = []byte(handmade.MD5(c.sums) + "  " + strings.TrimSpace(c.list)[1:] + "\n")
		}
		root["var/lib/dpkg/info/mine.list"] = &fstest.MapFile{Data: []byte("/.\n" + c.other)}
		img := archive(t, dir("usr"), dir("usr/lib"), dir("usr/lib/y"), file("usr/lib/y/so", c.have))
		whose := func(m *manifest.Manifest, at string) string {
			for _, e := range m.Entries {
				if e.Path == at && e.Origin != nil {
					return e.Origin.Name
				}
			}
			return ""
		}
		m := of(t, img)
		judge.Must(t, m.Attribute(root))
		held := of(t, img)
		judge.Must(t, held.AttributeArchive(root, img))
		if whose(m, "usr/lib/y/so") != c.want || whose(held, "usr/lib/y/so") != c.want {
			t.Errorf("%s: of %q, with the archive at hand of %q; want %q", name, whose(m, "usr/lib/y/so"), whose(held, "usr/lib/y/so"), c.want)
		}
		tree := judge.Value(manifest.OfSystem(root, root, nil))(t)
		for at, content := range map[string]string{"lib/y/so": c.lib, "usr/lib/y/so": c.usr} {
			if content == c.have && whose(tree, at) != c.want {
				t.Errorf("%s: the tree's %s is of %q; want %q", name, at, whose(tree, at), c.want)
			}
		}
	}
}

// A link of a package is found on the other side of /usr, too.
func TestAttributeOtherSideLinks(t *testing.T) {
	root := handmade.Debian()
	for _, at := range []string{"usr/lib/x/libz.so.1", "usr/lib/x/libz.so.1.2", "usr/lib/x/libz.so", "lib"} {
		f := root[at]
		if delete(root, at); at != "lib" {
			root[strings.TrimPrefix(at, "usr/")] = f
		}
	}
	root["var/lib/dpkg/info/zlib1g:amd64.list"] = &fstest.MapFile{Data: []byte("/usr/lib/x/libz.so.1\n/usr/lib/x/libz.so.1.2\n")}
	delete(root, "var/lib/dpkg/info/zlib1g:amd64.md5sums")
	m := of(t, archive(t, dir("usr"), dir("usr/lib"), dir("usr/lib/x"), link("usr/lib/x/libz.so.1", "libz.so.1.2"), file("usr/lib/x/libz.so.1.2", "zlib")))
	judge.Must(t, m.Attribute(root))
	for _, e := range m.Entries[3:] {
		if e.Origin.Name != "zlib1g" {
			t.Errorf("%s: %+v", e.Path, e.Origin)
		}
	}
}

// Where a directory of a tree is a link to another one, what dpkg has on record by that name is there, links and empty files, too: as in a tree whose
// usr/sbin leads to bin, or whose /usr lies elsewhere.
func TestAttributeLinkedDirectories(t *testing.T) {
	for _, links := range [][2]string{{"usr/lib/x", "y"}, {"usr/lib", "../srv/lib"}, {"usr", "srv/usr"}, {"etc", "usr/share/etc"}} {
		root := handmade.Debian()
		dir, to := links[0], path.Join(path.Dir(links[0]), links[1])
		moved := map[string]string{}
		for name := range maps.Clone(root) {
			moved[name] = name
			if below, ok := strings.CutPrefix(name, dir+"/"); ok {
				moved[name] = to + "/" + below
				root[to+"/"+below] = root[name]
				delete(root, name)
			}
		}
		root[dir] = &fstest.MapFile{Data: []byte(links[1]), Mode: fs.ModeSymlink | 0o777}
		m := judge.Value(manifest.OfSystem(root, root, nil))(t)
		apart := judge.Value(manifest.OfTree(root))(t)
		judge.Must(t, apart.Attribute(root))
		for _, m := range []*manifest.Manifest{m, apart} {
			got := map[string]string{}
			for _, e := range m.Entries {
				if e.Origin != nil {
					got[e.Path] = e.Origin.Name
				}
			}
			for name, by := range map[string]string{"usr/lib/x/libz.so.1": "zlib1g", "usr/lib/x/libz.so": "zlib1g", "usr/lib/x/libz.so.1.2": "zlib1g", "etc/empty": "curl", "etc/curl.conf": "curl", "usr/bin/tool": "mine"} {
				if got[moved[name]] != by {
					t.Errorf("%s -> %s: %s is of %q, want %s", dir, links[1], moved[name], got[moved[name]], by)
				}
			}
		}
	}
}

// The sums of a package are the work of whoever built it: dpkg does not look into them, and md5sum(1) writes them in several forms.
func TestAttributeSumsOfOthers(t *testing.T) {
	for _, form := range []string{"%s  bin/curl\n", "%s *bin/curl\n", "%s  ./bin/curl", "%s  /bin/curl\n\n", "\n%S  bin/curl\r\n"} {
		root := handmade.Debian()
		sum := handmade.MD5("curl")
		set("info/curl.md5sums", strings.NewReplacer("%s", sum, "%S", strings.ToUpper(sum)).Replace(form))(root)
		m := of(t, archive(t, dir("usr"), dir("usr/bin"), file("usr/bin/curl", "curl"), file("usr/bin/tool", "ours")))
		if err := m.Attribute(root); err != nil || len(m.Packages) != 2 || m.Packages[0].Name != "curl" {
			t.Errorf("%q: %v, %+v", form, err, m.Packages)
		}
	}
}

// Records with holes or garbage are an error of one line, and the manifest is
// as it was.
func TestAttributeBadRecords(t *testing.T) {
	m := of(t, archive(t, dir("usr"), file("usr/x", "curl")))
	before := encode(t, m)
	for name, edit := range map[string]func(fstest.MapFS){
		"no records of dpkg": func(r fstest.MapFS) { delete(r, "var/lib/dpkg/status") },
		"mine is installed, but what belongs to it is not on record": func(r fstest.MapFS) { delete(r, "var/lib/dpkg/info/mine.list") },
		"curl.list: line 2: \"bin/curl\\n\": not an absolute path":   set("info/curl.list", "/.\nbin/curl\n"),
		"curl.md5sums: line 1":        set("info/curl.md5sums", "\x00\x01\x02"),
		"status: record 1: not a":     set("status", "\x7fELF\x00\x00"),
		"no package name":             set("status", "Version: 1\n"),
		`version "", architecture ""`: set("status", "Package: curl\nStatus: install ok installed\n"),
		"curl: status \"installed\"":  set("status", "Package: curl\nStatus: installed\n"),
		"diversions: 1 lines":         set("diversions", "/bin/x\n"),
	} {
		root := handmade.Debian()
		edit(root)
		err := m.Attribute(root)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if strings.HasPrefix(name, "no records") != errors.Is(err, dpkg.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(before, encode(t, m)) {
		t.Error("the manifest was changed")
	}
}

func set(name, text string) func(fstest.MapFS) {
	return func(r fstest.MapFS) { r["var/lib/dpkg/"+name] = &fstest.MapFile{Data: []byte(text)} }
}

func FuzzDpkg(f *testing.F) {
	img := archive(f, dir("usr"), dir("usr/bin"), file("usr/bin/curl", "curl"))
	good := handmade.Debian()
	text := func(name string) string { return string(good["var/lib/dpkg/"+name].Data) }
	f.Add(text("status"), text("info/curl.list"), text("info/curl.md5sums"), text("diversions"))
	f.Fuzz(func(t *testing.T, status, list, sums, diversions string) {
		root := maps.Clone(good)
		for name, s := range map[string]string{"status": status, "info/curl.list": list, "info/curl.md5sums": sums, "diversions": diversions} {
			set(name, s)(root)
		}
		m := of(t, img)
		if err := m.Attribute(root); err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than one line: %q", err)
			}
			return
		}
		encode(t, m)
	})
}

func TestOfTree(t *testing.T) {
	root := handmade.Debian()
	root["etc/os-release"] = &fstest.MapFile{Data: []byte("ID=debian\nVERSION_CODENAME=bookworm\n"), Mode: 0o644}
	root["usr/lib/modules/6.1.0-56-amd64"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	root["usr/bin/su"] = &fstest.MapFile{Data: []byte("su"), Mode: fs.ModeSetuid | 0o755}
	m := judge.Value(manifest.OfTree(root))(t)
	judge.Must(t, m.Attribute(root))
	if m.Release != "bookworm" || len(m.Kernels) != 1 || m.Source != manifest.Root {
		t.Errorf("%+v", m)
	}
	for _, e := range m.Entries {
		if e.Path == "usr/bin/su" && e.Mode != 0o4755 || e.Path == "bin" && e.Target != "usr/bin" {
			t.Errorf("%+v", e)
		}
	}
	b := encode(t, m)
	validate(t, b)
	if _, err := manifest.Verify(archive(t, file("x", "")), m); err == nil {
		t.Error("an archive was held against the manifest of a root tree")
	}
}

// What a package was built using is the sources that its record names with a version, in both fields, folded lines as well; a
// manifest that has them in no order is refused.
func TestBuiltUsing(t *testing.T) {
	m := of(t, archive(t, dir("usr"), dir("usr/bin"), file("usr/bin/curl", "curl")))
	root := handmade.Debian()
	status := root["var/lib/dpkg/status"]
	text := strings.Replace(string(status.Data), "Package: curl\n", "Package: curl\nBuilt-Using: linux (= 6.1.192-3), rustc (>= 1), gcc-12 (= 12.2.0-14),\n"+
		" linux (= 6.1.192-3)\nStatic-Built-Using: rust-libc (=0.2.169-1) , Bad (= 1), unversioned, gcc-12 (= 12.2.0-14)\n", 1)
	root["var/lib/dpkg/status"] = &fstest.MapFile{Data: []byte(text), Mode: status.Mode}
	judge.Must(t, m.Attribute(root))
	want := []manifest.BuiltUsing{{Source: "gcc-12", Version: "12.2.0-14"}, {Source: "gcc-12", Version: "12.2.0-14", Static: true},
		{Source: "linux", Version: "6.1.192-3"}, {Source: "rust-libc", Version: "0.2.169-1", Static: true}}
	if d := cmp.Diff(want, m.Packages[0].BuiltUsing); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	b := encode(t, m)
	validate(t, b)
	back := judge.Value(manifest.Decode(bytes.NewReader(b), manifest.Limits{}))(t)
	if d := cmp.Diff(m.Packages, back.Packages); d != "" {
		t.Errorf("read back (-want +got):\n%s", d)
	}
	if _, err := manifest.Decode(bytes.NewReader(bytes.Replace(b, []byte(`"rust-libc"`), []byte(`"a"`), 1)), manifest.Limits{}); err == nil {
		t.Error("no order was accepted")
	}
}

// A package's needs are the packages here that its records name, under whatever name, folded lines as well, and no others; a
// manifest that names one which it does not list is refused.
func TestDepends(t *testing.T) {
	m := of(t, archive(t, dir("usr"), dir("usr/bin"), file("usr/bin/curl", "curl"), file("usr/bin/tool", "ours"), dir("usr/lib"), dir("usr/lib/x"),
		file("usr/lib/x/libz.so.1.2", "zlib")))
	root := handmade.Debian()
	status := root["var/lib/dpkg/status"]
	text := strings.NewReplacer("Package: curl\n", "Package: curl\nPre-Depends: zlib1g (>= 1:1)\nDepends: absent | virtual:any [amd64],\n theirs, curl, vi (>= 3)\n",
		"Package: mine\n", "Package: mine\nProvides: other, virtual (= 1)\nDepends: zlib1g (<< 1:1.2-3+b1) | curl (>= 8~) | virtual (>= 1), vi\n", "Package: theirs\n", "Package: theirs\nProvides: vi (= 2)\n").Replace(string(status.Data))
	root["var/lib/dpkg/status"] = &fstest.MapFile{Data: []byte(text), Mode: status.Mode}
	judge.Must(t, m.Attribute(root))
	got := map[string][]string{}
	for _, p := range m.Packages {
		got[p.Name] = p.Depends
	}
	if d := cmp.Diff(map[string][]string{"curl": {"mine", "zlib1g"}, "mine": {}, "zlib1g": nil}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	whole := handmade.Debian() // of a root tree all packages are here, those without a file of theirs as well
	whole["var/lib/dpkg/status"] = root["var/lib/dpkg/status"]
	delete(whole, "usr/bin/vi.tiny")
	delete(whole, "usr/bin/tool.distrib")
	tree := judge.Value(manifest.OfSystem(whole, whole, nil))(t)
	clear(got)
	for _, p := range tree.Packages {
		got[p.Name] = p.Depends
	}
	if d := cmp.Diff(map[string][]string{"curl": {"mine", "theirs", "zlib1g"}, "mine": {"theirs"}, "theirs": nil, "zlib1g": nil}, got); d != "" {
		t.Errorf("of the tree (-want +got):\n%s", d)
	}
	var b bytes.Buffer
	judge.Must(t, manifest.Encode(&b, m))
	if _, err := manifest.Decode(strings.NewReader(b.String()), manifest.Limits{}); err != nil {
		t.Error(err)
	}
	if _, err := manifest.Decode(strings.NewReader(strings.Replace(b.String(), `"mine",`, `"elsewhere",`, 1)), manifest.Limits{}); err == nil {
		t.Error("a need that is not listed was accepted")
	}
}
