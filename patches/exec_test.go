package patches

import (
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/tiny"
	"groundhog/fixtures/tinyelf"
	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

// Programs come with their libraries, these as the root tree has them: a file
// and a symlink by the name that the loader looks for.
func TestProgramsAndLibraries(t *testing.T) {
	each(t, func(t *testing.T, tgt *tiny.Target) {
		img, r := patch(t, tgt, func(o *Options) { o.Tools = []string{"sfdisk", "/usr/bin/hello"} })
		for name, from := range map[string]string{
			"bin/curl": "usr/bin/curl", "sbin/sfdisk": "usr/sbin/sfdisk", "bin/hello": "usr/bin/hello", "bin/dash": "usr/bin/dash",
			tiny.Libs + "libcurl.so.4": tiny.Libs + "libcurl.so.4.2.13", tiny.Libs + "libfdisk.so.1": tiny.Libs + "libfdisk.so.1.2.13",
			"etc/ssl/certs/ca-certificates.crt": "etc/ssl/certs/ca-certificates.crt",
		} {
			if got := text(t, img, name); got != string(tgt.Root[from].Data) {
				t.Errorf("%s is not %s", name, from)
			}
		}
		if e := img.Lookup(tiny.Libs + "libcurl.so.4"); !e.IsLink() || string(e.Data) != "libcurl.so.4.2.13" {
			t.Errorf("%v -> %s", e, e.Data)
		}
		if e := img.Lookup("bin/curl"); e.Perm() != 0o755 {
			t.Errorf("%v", e)
		}
		// Whatever was put there, the loader finds all of it in the archive.
		for _, name := range []string{"usr/bin/curl", "usr/sbin/sfdisk", "usr/bin/hello", "usr/sbin/dropbear", "usr/bin/busybox"} {
			if _, err := sysroot.Closure(treeOf(img), name); err != nil {
				t.Error(err)
			}
		}
		if i := slices.IndexFunc(r.Patches, func(a Applied) bool { return a.Name == "tools" }); r.Patches[i].Summary != "sfdisk, hello" {
			t.Errorf("%+v", r.Patches[i])
		}
		old := tgt.Release == "buster" || tgt.Release == "bullseye"
		if _, ok := img.Resolve(tiny.Libs + "libnss_dns.so.2"); ok != old {
			t.Errorf("libnss_dns is there: %v", ok)
		}
	})
}

// A program for another machine is refused, a static one, too, for which nothing is missing. One of 32 bits runs on amd64.
func TestToolOfOtherMachine(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	program := tinyelf.Program(elf.EM_AARCH64)
	tgt.Root["usr/bin/static"] = tiny.Program(program)
	asked := func(o *Options) { o.Tools = []string{"static"} }
	if err := refused(t, tgt, asked); !strings.Contains(err.Error(), "usr/bin/static in the root tree is made for arm64, and would not start on amd64") {
		t.Error(err)
	}
	tgt.Root["usr/bin/static"] = tiny.Program(tinyelf.Program(elf.EM_X86_64))
	patch(t, tgt, asked)
	for _, c := range []struct {
		arch, program string
		runs          bool
	}{{"amd64", "i386", true}, {"i386", "amd64", false}, {"arm64", "armhf", true}, {"armhf", "arm64", false}, {"riscv64", "riscv64", true}} {
		if debian.RunsProgram(c.arch, c.program) != c.runs {
			t.Errorf("%s on %s: want %v", c.program, c.arch, c.runs)
		}
	}
}

// A program that the archive has already stays, but for a name of busybox: who
// asks for fdisk means fdisk.
func TestToolThere(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	tgt.Archive["usr/sbin/sfdisk"] = tiny.Program([]byte("the archive's own"))
	img, _ := patch(t, tgt, func(o *Options) { o.Tools = []string{"sfdisk", "fdisk"} })
	if got := text(t, img, "sbin/sfdisk"); got != "the archive's own" {
		t.Errorf("%q", got)
	}
	if got := text(t, img, "sbin/fdisk"); !strings.Contains(got, "the real fdisk") {
		t.Error("fdisk is busybox still")
	}
	if got, want := img.Lookup("bin/busybox").Nlink, uint32(len(tiny.Applets)-1); got != want {
		t.Errorf("%d names of busybox, want %d", got, want)
	}
}

func TestToolRefused(t *testing.T) {
	for tool, want := range map[string]string{
		"nosuch": "nosuch", "/usr/bin/nosuch": "usr/bin/nosuch", "/": "tool", "usr": "tool", "/usr/bin": "usr/bin",
		"a/../../../../etc/passwd": "etc/passwd", "/etc/os-release": "not executable", "text": "neither an ELF file nor a script",
		strings.Repeat("a", 300): "aaa", "/usr/bin/out": "usr/bin/out",
	} {
		tgt := tiny.New("bookworm", true)
		tgt.Root["usr/bin/text"] = tiny.Program([]byte("echo no interpreter\n"))
		tgt.Root["usr/bin/out"] = tiny.Link("/../../../../../../bin/sh")
		err := refused(t, tgt, func(o *Options) { o.Tools = []string{tool} })
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", tool, err)
		}
	}
	tgt := tiny.New("bookworm", true)
	delete(tgt.Root, tiny.Libs+"libfdisk.so.1.2.13")
	err := refused(t, tgt, func(o *Options) { o.Tools = []string{"sfdisk"} })
	if !strings.Contains(err.Error(), "libfdisk.so.1") || !strings.Contains(err.Error(), "usr/sbin/sfdisk") {
		t.Error(err)
	}
}

// A library of the archive that is too old for what is added is refused: the
// program would not start on the device. A weak need is none.
func TestOlderLibrary(t *testing.T) {
	older := tiny.Program(tinyelf.File{Soname: "libc.so.6", Defines: []string{"libc.so.6", "GLIBC_2.2.5"}}.Bytes())
	for _, dropbear := range []bool{false, true} {
		tgt := tiny.New("bookworm", dropbear)
		tgt.Archive[tiny.Libs+"libc.so.6"] = older
		err := refused(t, tgt, nil)
		for _, want := range []string{"libcurl.so.4", "GLIBC_2.28", "libc.so.6", "update-initramfs"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("no %s in %v", want, err)
			}
		}
		tgt.Root[tiny.Libs+"libcurl.so.4.2.13"] = tiny.Program(tinyelf.File{Soname: "libcurl.so.4", Needed: []string{"libc.so.6"},
			Wants: []tinyelf.Want{{Library: "libc.so.6", Versions: []string{"GLIBC_2.28"}, Weak: true}}}.Bytes())
		img, _ := patch(t, tgt, nil)
		if got := text(t, img, tiny.Libs+"libc.so.6"); got != string(older.Data) {
			t.Error("the archive's libc was replaced")
		}
	}
}

// Certificates: those given, else the root tree's bundle, else what the
// package would make it from; with none at all that is said.
func TestCertificates(t *testing.T) {
	certs := func(tgt *tiny.Target, change func(*Options)) (string, *Report) {
		img, r := patch(t, tgt, change)
		b, _ := img.ReadFile(certBundle)
		return string(b), r
	}
	tgt := tiny.New("bookworm", true)
	if got, _ := certs(tgt, func(o *Options) { o.CA = []byte("given") }); got != "given" {
		t.Errorf("%q", got)
	}
	delete(tgt.Root, certBundle)
	const dir = "usr/share/ca-certificates/mozilla/"
	tgt.Root[dir+"b.crt"], tgt.Root[dir+"a.crt"], tgt.Root[dir+"README"] = tiny.Text("B"), tiny.Text("A"), tiny.Text("no")
	if got, _ := certs(tgt, nil); got != "AB" {
		t.Errorf("%q", got)
	}
	for _, name := range []string{"b.crt", "a.crt", "README"} {
		delete(tgt.Root, dir+name)
	}
	got, r := certs(tgt, nil)
	if got != "" || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "--ca") }) {
		t.Errorf("%q, %q", got, r.Notes)
	}
	tgt.Archive[certBundle] = tiny.Text("the archive's")
	if got, _ := certs(tgt, nil); got != "the archive's" {
		t.Errorf("%q", got)
	}
}

func TestRelative(t *testing.T) {
	for _, c := range [][3]string{
		{"usr/lib", "usr/lib/x", "x"}, {"usr/lib", "usr/lib/a/x", "a/x"}, {"usr/lib64", "usr/lib/a/x", "../lib/a/x"},
		{".", "usr/x", "usr/x"}, {"a/b/c", "x", "../../../x"}, {"a", "a", "../a"},
	} {
		if got := relativePath(c[0], c[1]); got != c[2] {
			t.Errorf("from %s to %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}
