package patches

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/manifest"
	"groundhog/patches/sysroot"

	"github.com/google/go-cmp/cmp"
)

// The release is the one that was asked for, else the record's, else the root
// tree's, else the one whose dropbear is in the archive.
func TestRelease(t *testing.T) {
	for _, release := range releases {
		tgt := tiny.New(release, true)
		if _, r := patch(t, tgt, nil); r.Release != release {
			t.Errorf("%s by its os-release is %s", release, r.Release)
		}
		img := read(t, tgt)
		if got := debian.Read(img).Release; got != release {
			t.Errorf("%s by its dropbear is %q", release, got)
		}
		o := defaults(tgt)
		o.Curl = false
		if r, err := apply(img, nil, o); err != nil || r.Release != release {
			t.Errorf("%s without a root tree: %v, %v", release, r, err)
		}
		// usr/lib has the file, etc a link to it.
		tgt.Root["usr/lib/os-release"], tgt.Root["etc/os-release"] = tgt.Root["etc/os-release"], tiny.Link("../usr/lib/os-release")
		if _, r := patch(t, tgt, nil); r.Release != release {
			t.Errorf("%s by its os-release is %s", release, r.Release)
		}
		if got, err := withoutOSRelease(tgt); err != nil || got != release {
			t.Errorf("%s without os-release is %s, %v", release, got, err)
		}
	}
	// Asked for comes first.
	tgt := tiny.New("bookworm", true)
	img, r := patch(t, tgt, func(o *Options) { o.Release = "trixie" })
	if r.Release != "trixie" || !strings.Contains(strings.Join(r.Notes, "\n"), "the archive is of bookworm (dropbear 2022.83), and treated as trixie") {
		t.Errorf("asked for trixie: %s, %q", r.Release, r.Notes)
	}
	// What it was once patched for it stays.
	if r, err := apply(img, tgt.Root, defaults(tgt)); err != nil || r.Release != "trixie" {
		t.Errorf("patched for trixie: %v, %v", r, err)
	}
}

// libc is a C library as whoever built it has it say.
func libc(tgt *tiny.Target, banner string) {
	b := append(slices.Clone(tgt.Archive[tiny.Libs+"libc.so.6"].Data), "\x00GNU C Library ("+banner+".\n"...)
	tgt.Archive[tiny.Libs+"libc.so.6"] = tiny.Program(b)
}

// Archive and root tree tell the release together.
func TestReleaseTogether(t *testing.T) {
	for name, c := range map[string]struct {
		archive, banner string
		dropbear        bool
		root            string // its code name; "" of one that does not say
		change          func(*Options)
		want, note, err string
	}{
		"both": {"bookworm", "Debian GLIBC 2.36-9+deb12u14) stable release version 2.36", true, "bookworm", nil, "bookworm", "", ""},
		"trixie's archive, bookworm's root": {"trixie", "Debian GLIBC 2.41-12) stable release version 2.41", true, "bookworm", nil, "", "",
			"the archive is of trixie (glibc 2.41, dropbear 2025.89), the root tree of bookworm"},
		"the same, and nothing to take": {"trixie", "Debian GLIBC 2.41-12) stable release version 2.41", true, "bookworm", func(o *Options) { o.Curl = false }, "trixie",
			"the root tree of bookworm: nothing but keys is taken", ""},
		"the same, without dropbear": {"trixie", "Debian GLIBC 2.41-12) stable release version 2.41", false, "bookworm", func(o *Options) { o.Curl = false }, "", "",
			"the archive is of trixie (glibc 2.41), the root tree of bookworm"},
		"told by dropbear alone": {"trixie", "", true, "bookworm", nil, "", "", "the archive is of trixie (dropbear 2025.89)"},
		"forky's archive, trixie's root": {"trixie", "Debian GLIBC 2.42-5) stable release version 2.42", true, "trixie", nil, "", "",
			"the archive is of another Debian (glibc 2.42, dropbear 2025.89): not supported"},
		"insisted": {"trixie", "Debian GLIBC 2.42-5) stable release version 2.42", true, "trixie", func(o *Options) { o.Release = "trixie" }, "trixie",
			"it is treated as trixie", ""},
		"Ubuntu's": {"bookworm", "Ubuntu GLIBC 2.36-0ubuntu4) stable release version 2.36", true, "bookworm", nil, "", "",
			"the archive is of Ubuntu (glibc 2.36, dropbear 2022.83), not of Debian"},
		"Ubuntu's, no root that says": {"bookworm", "Ubuntu GLIBC 2.39-0ubuntu8) stable release version 2.39", true, "", nil, "", "", "Ubuntu"},
		"a graft is told by libc":     {"bookworm", "Debian GLIBC 2.36-9) stable release version 2.36", false, "", nil, "bookworm", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tgt := tiny.New(c.archive, c.dropbear)
			if c.banner != "" {
				libc(tgt, c.banner)
			}
			tgt.Root["etc/os-release"] = tiny.Text("ID=debian\nVERSION_CODENAME=" + c.root + "\n")
			if c.root == "" {
				delete(tgt.Root, "etc/os-release")
			}
			o := defaults(tgt)
			if c.change != nil {
				c.change(&o)
			}
			r, err := apply(read(t, tgt), tgt.Root, o)
			switch {
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "--release overrides")):
				t.Errorf("%v, want %s", err, c.err)
			case c.err == "" && err != nil:
				t.Error(err)
			case err == nil && (r.Release != c.want || !strings.Contains(strings.Join(r.Notes, "\n"), c.note)):
				t.Errorf("%s, %q", r.Release, r.Notes)
			}
		})
	}
	// An unknown server in a known system is said.
	tgt := tiny.New("bookworm", true)
	libc(tgt, "Debian GLIBC 2.36-9) stable release version 2.36")
	server := *tgt.Archive["usr/sbin/dropbear"]
	server.Data = bytes.Replace(server.Data, []byte("2022.83"), []byte("2031.17"), 1)
	tgt.Archive["usr/sbin/dropbear"] = &server
	if _, r := patch(t, tgt, nil); r.Release != "bookworm" || !strings.Contains(strings.Join(r.Notes, "\n"), "dropbear 2031.17 is in the archive, which bookworm does not have") {
		t.Errorf("%s, %q", r.Release, r.Notes)
	}
}

// raspberry makes a target one of Raspberry Pi OS, as far as names go: the kernel's, and the file that its images have.
func raspberry(tgt *tiny.Target, kernel string) {
	for _, tree := range []fstest.MapFS{tgt.Archive, tgt.Root} {
		for name, f := range maps.Clone(tree) {
			if other := strings.ReplaceAll(name, tgt.Kernel, kernel); other != name {
				delete(tree, name)
				tree[other] = f
			}
		}
	}
	tgt.Kernel = kernel
	tgt.Root["etc/rpi-issue"] = tiny.Text("Raspberry Pi reference 2025-05-13\n")
}

// Raspberry Pi OS is named, by its kernel, by its file, or by what 32 bits of it call themselves; its release is Debian's.
func TestRaspberryPiOS(t *testing.T) {
	const bookworm = "ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID=\"12\"\n"
	for name, c := range map[string]struct {
		kernel, osRelease, banner string // banner: of the archive's C library
		issue                     bool   // etc/rpi-issue
	}{
		"a 64-bit one":      {"6.12.25+rpt-rpi-v8", bookworm, "Debian GLIBC 2.36-9+rpt2+deb12u10) stable release version 2.36", true},
		"a Pi 5":            {"6.12.25+rpt-rpi-2712", bookworm, "", true},
		"by its kernel":     {"6.1.21-v8+", bookworm, "", false},
		"by its file":       {"6.1.0-56-arm64", bookworm, "", true},
		"a 32-bit one":      {"6.12.25+rpt-rpi-v7l", "ID=raspbian\nVERSION_CODENAME=bookworm\n", "Raspbian GLIBC 2.36-9+rpt2+deb12u10) stable release version 2.36", true},
		"by its C library":  {"6.1.0-56-armmp", bookworm, "Raspbian GLIBC 2.36-9+rpi1) stable release version 2.36", false},
		"by its os-release": {"6.1.0-56-armmp", "ID=raspbian\nVERSION_CODENAME=bookworm\n", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			tgt := tiny.New("bookworm", true)
			raspberry(tgt, c.kernel)
			tgt.Root["etc/os-release"] = tiny.Text(c.osRelease)
			if c.banner != "" {
				libc(tgt, c.banner)
			}
			if !c.issue {
				delete(tgt.Root, "etc/rpi-issue")
			}
			if _, r := patch(t, tgt, nil); r.System != debian.RaspberryPiOS || r.Release != "bookworm" || r.Kernel != c.kernel {
				t.Errorf("%q %q, kernel %q", r.System, r.Release, r.Kernel)
			}
		})
	}
	for _, kernel := range []string{"6.1.0-56-arm64", "6.1.0-9-rpi", "6.1.21-v8", "6.6.0-1-v8+-amd64", "x+rpt-rpi-v8", "6.12.25+rpt-rpi-", "6.12.25+rpt-rpi-v8/.."} {
		if got := debian.DerivedBy(kernel); got != "" {
			t.Errorf("%s is of %s", kernel, got)
		}
	}
	if _, r := patch(t, tiny.New("bookworm", true), nil); r.System != "" {
		t.Errorf("Debian is %q", r.System)
	}
	// A trixie's kernel does not make a bookworm of it, and the release has to be one that is supported.
	tgt := tiny.New("bookworm", true)
	raspberry(tgt, "6.12.25+rpt-rpi-v8")
	libc(tgt, "Debian GLIBC 2.41-12+rpt1) stable release version 2.41")
	if err := refused(t, tgt, nil); !strings.Contains(err.Error(), "the archive is of trixie (glibc 2.41, dropbear 2022.83), the root tree of bookworm") {
		t.Error(err)
	}
}

// withoutOSRelease is the release that a target without os-release is taken for.
func withoutOSRelease(tgt *tiny.Target) (string, error) {
	delete(tgt.Root, "etc/os-release")
	delete(tgt.Root, "usr/lib/os-release")
	b, err := tgt.Bytes(initrd.None)
	if err != nil {
		return "", err
	}
	img, err := initrd.Read(strings.NewReader(string(b)), initrd.Limits{})
	if err != nil {
		return "", err
	}
	target, err := openArchive(img, tgt.Root, nil, Defaults())
	if err != nil {
		return "", err
	}
	return target.Release, nil
}

// What is not supported is refused by its own name.
func TestReleaseRefused(t *testing.T) {
	for osRelease, name := range map[string]string{
		"ID=debian\nVERSION_CODENAME=forky\n":                 `"forky"`,
		"ID=ubuntu\nVERSION_CODENAME=noble\nVERSION_ID=24.04": `"noble"`,
		"ID=alpine\nVERSION_ID=3.20\n":                        `"alpine 3.20"`,
		"ID=debian\n":                                         `"debian"`,
		"":                                                    `"linux"`,
		"VERSION_CODENAME=\"a\x1b[2J\n":                       `would stop`,
		"VERSION_CODENAME='a\x1b[2Jb'\n":                      `a\x1b[2Jb`,
	} {
		tgt := tiny.New("bookworm", true)
		tgt.Root["etc/os-release"] = tiny.Text(osRelease)
		err := refused(t, tgt, nil)
		if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %q", osRelease, err)
		}
	}
	err := refused(t, tiny.New("bookworm", true), func(o *Options) { o.Release = "forky" })
	if !strings.Contains(err.Error(), `"forky"`) || !strings.Contains(err.Error(), "trixie") {
		t.Error(err)
	}
	tgt := tiny.New("bookworm", false)
	delete(tgt.Root, "etc/os-release")
	if err := refused(t, tgt, nil); !strings.Contains(err.Error(), "--release") {
		t.Error(err)
	}
}

func TestRefusedTargets(t *testing.T) {
	for want, change := range map[string]func(tgt *tiny.Target){
		"the archive is for amd64, the root tree for arm64": func(tgt *tiny.Target) {
			arm := *tgt.Root["usr/bin/dpkg"]
			arm.Data = append([]byte(nil), arm.Data...)
			arm.Data[18] = 183 // e_machine, EM_AARCH64
			tgt.Root["usr/bin/dpkg"] = &arm
		},
		debian.ErrDracut.Error(): func(tgt *tiny.Target) {
			delete(tgt.Archive, "scripts/functions")
			tgt.Archive["usr/lib/initrd-release"] = tiny.Text("")
		},
		"no initramfs-tools in it": func(tgt *tiny.Target) { delete(tgt.Archive, "conf/initramfs.conf") },
		manifest.RecordPath:        func(tgt *tiny.Target) { tgt.Archive[manifest.RecordPath] = tiny.Text("{\n\"schema\"\n:") },
		"schema 99":                func(tgt *tiny.Target) { tgt.Archive[manifest.RecordPath] = tiny.Text(`{"schema":99}`) },
		`"sid"`: func(tgt *tiny.Target) {
			tgt.Archive[manifest.RecordPath] = tiny.Text(`{"schema":1,"tool":"x","build":"","release":"sid","patches":[]}`)
		},
	} {
		t.Run(want, func(t *testing.T) {
			tgt := tiny.New("bookworm", true)
			change(tgt)
			if err := refused(t, tgt, nil); !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want %q in it", err, want)
			}
		})
	}
	tgt := tiny.New("bookworm", true)
	delete(tgt.Archive, "init")
	tgt.Archive["usr/lib/dracut/x"] = tiny.Text("")
	if err := refused(t, tgt, nil); !errors.Is(err, debian.ErrDracut) {
		t.Error(err)
	}
}

// Without modules there is no kernel to name, and nothing else is amiss.
func TestNoModules(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	for name := range tgt.Archive {
		if strings.HasPrefix(name, "usr/lib/modules") {
			delete(tgt.Archive, name)
		}
	}
	if _, r := patch(t, tgt, nil); r.Kernel != "" || r.Arch != "amd64" {
		t.Errorf("%+v", r)
	}
	err := refused(t, tgt, func(o *Options) { o.Modules = []string{"mii"} })
	if !strings.Contains(err.Error(), "no modules") {
		t.Error(err)
	}
}

// Without a root tree what the archive lacks is named, and what to give.
func TestNoRootTree(t *testing.T) {
	for _, dropbear := range []bool{false, true} {
		tgt := tiny.New("bookworm", dropbear)
		o := defaults(tgt)
		o.Release = "bookworm"
		_, err := apply(read(t, tgt), nil, o)
		want := "usr/sbin/dropbear"
		if dropbear {
			want = "usr/bin/curl"
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--root") {
			t.Errorf("%v", err)
		}
	}
}

// What the archive says of itself is foreign text: what cannot be a kernel's
// release is none, and what cannot be an architecture is told by the programs.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{"6.1\x1b[2J", "6.1\n", "-b", "x y", "..."} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["usr/lib/modules/"+name+"/kernel/a.ko"] = tiny.Text("")
		if got := debian.Read(read(t, tgt)).Kernel(); got != tgt.Kernel {
			t.Errorf("%q", got)
		}
	}
	for _, arch := range []string{"a\x1b[2J", "../x", "a b", "A", strings.Repeat("a", 300)} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["conf/arch.conf"] = tiny.Text("DPKG_ARCH=" + arch + "\n")
		if got := debian.Read(read(t, tgt)).Architecture; got != "amd64" {
			t.Errorf("%q", got)
		}
	}
	tgt := tiny.New("bookworm", true)
	tgt.Archive["conf/arch.conf"] = tiny.Text("X=1\n DPKG_ARCH='arm64'\n")
	if got := debian.Read(read(t, tgt)).Architecture; got != "arm64" {
		t.Errorf("%q", got)
	}
}

// What an archive says of itself is found once, and anew behind every edit.
func TestFactsAreOfNow(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	a := judge.Value(openArchive(read(t, tgt), tgt.Root, nil, defaults(tgt)))(t)
	before := a.facts()
	if a.facts() != before || len(before.HostKeys) == 0 {
		t.Fatalf("read again without an edit, or %d host keys", len(before.HostKeys))
	}
	judge.Must(t, a.Image.Remove(before.HostKeys[0].Path))
	if now := a.facts(); len(now.HostKeys) != len(before.HostKeys)-1 {
		t.Errorf("%d host keys behind the removal of one of %d", len(now.HostKeys), len(before.HostKeys))
	}
	judge.Value(a.Image.Put(before.HostKeys[0].Path, initrd.File{Mode: initrd.TypeFile | 0o600, Data: []byte("no key")}))(t)
	if now := a.facts(); len(now.BadHostKeys) != 1 {
		t.Errorf("a file that holds no key came: %v", now.BadHostKeys)
	}
}

// moveDir moves a directory of a root tree to another place, and leaves a link to that.
func moveDir(tree fstest.MapFS, dir, to, link string) {
	for name, f := range maps.Clone(tree) {
		if below, ok := strings.CutPrefix(name+"/", dir+"/"); ok {
			delete(tree, name)
			tree[strings.TrimSuffix(path.Join(to, below), "/")] = f
		}
	}
	tree[dir] = tiny.Link(link)
}

// rootOnDisk is a target's root tree as it is read from a directory.
func rootOnDisk(t *testing.T, tgt *tiny.Target) *sysroot.Tree {
	t.Helper()
	dir := t.TempDir()
	judge.Must(t, tgt.WriteRoot(dir))
	tree := judge.Value(sysroot.Open(sysroot.Dir(dir)))(t)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// Wherever in a root tree a directory lies to which there is a link, what is taken from it comes into the archive by the name that programs, the loader and
// modprobe know it by: the archive is the same.
func TestDirectoriesElsewhere(t *testing.T) {
	patched := func(t *testing.T, tgt *tiny.Target) string {
		o := defaults(tgt)
		o.Tools, o.Modules = []string{"sfdisk", "usr/bin/hello"}, []string{"smsc95xx"}
		img := read(t, tgt)
		judge.Value(apply(img, rootOnDisk(t, tgt), o))(t)
		var names []string
		for name, e := range reread(t, write(t, img)).Tree() {
			names = append(names, fmt.Sprintf("%s %o %x", name, e.Mode, sha256.Sum256(img.Content(e))))
		}
		return strings.Join(names, "\n")
	}
	for _, release := range []string{"bullseye", "bookworm"} {
		kernel, want := tiny.New(release, false).Kernel, patched(t, tiny.New(release, false))
		for dir, link := range map[string]string{
			"usr": "srv/usr", "usr/lib": "libraries", "usr/bin": "../srv/bin", "usr/sbin": "bin", "usr/lib64": "loaders", "lib64": "srv/loaders", "lib": "/srv/lib",
			"usr/lib/modules": "/srv/modules", "usr/lib/modules/" + kernel: "/srv/kernel", "usr/share/initramfs-tools": "/../srv/scripts", "etc": "srv/etc",
		} {
			t.Run(release+"/"+dir, func(t *testing.T) {
				tgt := tiny.New(release, false)
				to := strings.TrimPrefix(path.Join("/", path.Dir(dir), link), "/")
				if path.IsAbs(link) {
					to = path.Clean(link)[1:]
				}
				if from := tgt.Root[dir]; from.Mode.Type() == fs.ModeSymlink { // what /usr has stays there, too
					for name, f := range maps.Clone(tgt.Root) {
						if below, ok := strings.CutPrefix(name, "usr/"+dir+"/"); ok {
							tgt.Root[path.Join(to, below)] = f
						}
					}
					tgt.Root[dir] = tiny.Link(link)
				} else {
					moveDir(tgt.Root, dir, to, link)
				}
				if diff := cmp.Diff(want, patched(t, tgt)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A directory that is a link out of the tree, or to nothing in it, is named: it was what should be in it that was missing.
func TestDirectoriesNowhere(t *testing.T) {
	for dir, link := range map[string]string{"usr": "../outside", "usr/lib": "/mnt/lib", "usr/bin": "../../../bin", "usr/share/initramfs-tools": "initramfs-tools", "usr/lib/modules": "/home/modules"} {
		want := "/" + dir + " in the root tree is a symbolic link to " + link + ", which leads nowhere there"
		tgt := tiny.New("bookworm", false)
		moveDir(tgt.Root, dir, "elsewhere", link)
		tree := rootOnDisk(t, tgt)
		if _, err := apply(read(t, tgt), tree, defaults(tgt)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
		}
		if _, err := Hooks(tree, nil, Defaults(), "groundhog test"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("hooks, %s: %v", dir, err)
		}
	}
}
