package sysroot

import (
	"bytes"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tinyelf"
)

const kernel = "6.1.0-1-test"

func ko(fields ...string) []byte {
	fields = append(fields, "vermagic="+kernel+" SMP mod_unload ")
	return tinyelf.Module{Info: strings.Join(fields, "\x00") + "\x00"}.Bytes()
}

// kernelTree is a kernel as its package brings it: without modules.dep.
func kernelTree(t testing.TB) fstest.MapFS {
	dir := "usr/lib/modules/" + kernel + "/"
	return fstest.MapFS{
		dir + "modules.builtin":                     file([]byte("kernel/lib/crc16.ko\nkernel/net/built-in.ko\n")),
		dir + "kernel/drivers/net/usb/smsc95xx.ko":  file(ko("name=smsc95xx", "depends=usbnet,mii,phy-generic")),
		dir + "kernel/drivers/net/usb/usbnet.ko.gz": file(squeeze(t, ".gz", ko("depends=mii,built_in"))),
		dir + "kernel/drivers/net/mii.ko.zst":       file(squeeze(t, ".zst", ko("depends="))),
		dir + "kernel/drivers/usb/phy/phy-generic.ko": file(ko("depends=",
			"softdep=pre: crc16 none-such post: after-it before:", "softdep=pre: mii")),
		dir + "extra/after_it.ko":           file(ko("depends=phy_generic")), // a circle
		dir + "kernel/needs-none.ko":        file(ko("depends=nowhere")),
		dir + "kernel/old.ko":               file(tinyelf.Module{Info: "vermagic=5.10.0 SMP\x00depends=\x00"}.Bytes()),
		dir + "kernel/twice.ko":             file([]byte("never read")),
		dir + "updates/dkms/twice.ko":       file(ko("depends=")),
		dir + "build":                       link("/usr/src/none"),
		dir + "kernel/lib/needs-crc.ko":     file(ko("depends=", "softdep=pre: crc-32c none-such post: mii")),
		dir + "kernel/crypto/crc32c-gen.ko": file(ko("depends=")),
		dir + "modules.alias":               file([]byte("# Aliases\nalias crc_32c crc32c-gen\nalias pci:v*d* mii\nalias crc-32c crc16\nalias mii twice\nalias crc_32c gone\n")),
	}
}

func TestNeeds(t *testing.T) {
	m := judge.Value(OpenModules(kernelTree(t), kernel))(t)
	for ask, want := range map[string]string{
		"smsc95xx":             "mii built_in* usbnet crc16* phy_generic after_it smsc95xx",
		"phy-generic":          "crc16* mii phy_generic after_it",
		"mii mii crc16 mii":    "mii crc16*",
		"twice":                "twice",
		"needs-crc":            "crc32c_gen crc16* needs_crc mii",
		"after_it phy_generic": "crc16* mii phy_generic after_it",
	} {
		list, err := m.Needs(strings.Fields(ask)...)
		var got []string
		for _, x := range list {
			if x.Builtin {
				x.Name += "*"
			}
			if x.Builtin != (x.Path == "") {
				t.Errorf("%+v: built in and with a file, or neither", x)
			}
			got = append(got, x.Name)
		}
		if strings.Join(got, " ") != want || err != nil {
			t.Errorf("%s needs %q, %v, want %q", ask, got, err, want)
		}
	}
	list := judge.Value(m.Needs("twice"))(t)
	if want := "usr/lib/modules/" + kernel + "/updates/dkms/twice.ko"; list[0].Path != want {
		t.Errorf("twice comes from %s, want %s", list[0].Path, want)
	}
}

func TestNeedsRefuses(t *testing.T) {
	dir := "usr/lib/modules/" + kernel
	where := "(looked in " + dir + "/{updates,kernel,extra} and modules.builtin)"
	m := judge.Value(OpenModules(kernelTree(t), kernel))(t)
	for name, want := range map[string]string{
		"foo":        "module foo: not in kernel " + kernel + " " + where,
		"needs_none": "module needs_none: needs nowhere, which is not in kernel " + kernel + " " + where,
		"old":        `module old: built for kernel "5.10.0", not ` + kernel + " (" + dir + "/kernel/old.ko)",
	} {
		if _, err := m.Needs("mii", name); err == nil || err.Error() != want {
			t.Errorf("error %v\nwant  %s", err, want)
		}
	}
	for _, version := range []string{"6.1", "", "..", "a/b"} {
		if _, err := OpenModules(kernelTree(t), version); err == nil {
			t.Errorf("a kernel %q was found", version)
		}
	}
}

// kmod's modinfo judges what we read of a module, plain and compressed (Debian's
// kmod reads no gzip before trixie, so it is shown the plain one).
func TestModinfoAsKmod(t *testing.T) {
	tool := judge.Tool(t, "modinfo")
	b := ko("license=GPL", "depends=a,b-c", "softdep=pre: x y-z post: w", "name=some_mod", "alias=pci:*", "alias=usb:x", "firmware=a/b.fw", "firmware=c/*.bin")
	name := filepath.Join(writeTree(t, t.TempDir(), map[string]string{"some-mod.ko": string(b)}), "some-mod.ko")
	field := func(key string) string { return strings.TrimSpace(string(run(t, tool, "-F", key, name))) }
	want := Modinfo{Name: field("name"), Vermagic: field("vermagic") + " ", Depends: strings.Split(moduleName(field("depends")), ","),
		Firmware: strings.Fields(field("firmware")), Aliases: strings.Fields(field("alias"))}
	want.readSoftDeps(field("softdep"))
	for _, ending := range compressed[:4] {
		got := judge.Value(ParseModinfo(name, squeeze(t, ending, b)))(t)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-modinfo +got):\n%s", ending, diff)
		}
	}
}

// Cut anywhere, a module is refused.
func TestModinfoCut(t *testing.T) {
	b := ko("depends=x")
	for n := range b {
		if _, err := ParseModinfo("x.ko", b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes pass", n, len(b))
		}
	}
	z := squeeze(t, ".gz", b)
	for n := range z {
		if _, err := ParseModinfo("x.ko.gz", z[:n]); err == nil {
			t.Errorf("the first %d of %d compressed bytes pass", n, len(z))
		}
	}
}

// FuzzModinfo: no panic, no name that modprobe would not know, the same again.
func FuzzModinfo(f *testing.F) {
	b := ko("name=some_mod", "depends=a,b-c", "softdep=pre: x post: y")
	for _, ending := range compressed[:3] {
		f.Add(squeeze(f, ending, b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		m, err := ParseModinfo("x.ko", b)
		if err != nil {
			return
		}
		for _, list := range [][]string{m.Depends, m.Pre, m.Post} {
			for _, name := range list {
				if name == "" || strings.ContainsAny(name, "-\x00") {
					t.Fatalf("bad name %q", name)
				}
			}
		}
		again, err := ParseModinfo("x.ko", b)
		if diff := cmp.Diff(m, again); diff != "" || err != nil || !bytes.Equal(b, before) {
			t.Fatalf("not the same again: %v\n%s", err, diff)
		}
	})
}

// However much a module says of itself, what is kept of it has a bound.
func TestModinfoIsBounded(t *testing.T) {
	for what, fields := range map[string][]string{
		"firmware":  slices.Repeat([]string{"firmware=a"}, maxModinfo+1),
		"aliases":   slices.Repeat([]string{"alias="}, maxModinfo+1),
		"depends":   {"depends=" + strings.Repeat("a,", 50*maxModinfo)},
		"soft ones": {"softdep=pre: " + strings.Repeat("a ", 50*maxModinfo)},
	} {
		b := ko(fields...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseModinfo("x.ko", b)
		runtime.ReadMemStats(&after)
		if n := int(after.TotalAlloc - before.TotalAlloc); err == nil || !strings.Contains(err.Error(), "more than") || n > 2*len(b)+16<<20 {
			t.Errorf("%s: of %d bytes %d were made: %v", what, len(b), n, err)
		}
	}
}
