package patches

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/fixtures/tinyelf"
	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/patches/depmod"
)

// modulesOf are the names of the archive's modules.
func modulesOf(img *initrd.Image) string {
	target := &Archive{Image: img, Kernel: debian.Read(img).Kernel()}
	return strings.Join(slices.Sorted(maps.Keys(target.modulesThere())), " ")
}

func want(modules ...string) func(*Options) {
	return func(o *Options) { o.Modules = modules }
}

// A module comes with what it needs, where the kernel has it; what is there or
// built in is not added again; /init loads them in the order given.
func TestModules(t *testing.T) {
	judge.Tool(t, "depmod")
	each(t, func(t *testing.T, tgt *tiny.Target) {
		img, r := patch(t, tgt, want("smsc95xx", "usbcore", "mii"))
		if got := modulesOf(img); got != "crc16 e1000 mii smsc95xx usbnet" {
			t.Errorf("modules %s", got)
		}
		if got := text(t, img, "conf/modules"); got != "smsc95xx \nusbcore \nmii \n" {
			t.Errorf("conf/modules %q", got)
		}
		if e := img.Lookup("conf/modules"); e.Mode != img.Lookup("conf/arch.conf").Mode {
			t.Errorf("%v", e)
		}
		i := slices.IndexFunc(r.Patches, func(a Applied) bool { return a.Name == "modules" })
		if got := r.Patches[i].Summary; got != "smsc95xx, usbcore, mii, of these new: usbnet, crc16, smsc95xx" && got != "smsc95xx, usbcore, mii, of these new: crc16, usbnet, smsc95xx" {
			t.Errorf("%s", got)
		}
		// On trixie modules and everything else are in segments of their own.
		if tgt.Release == "trixie" {
			for name, e := range img.Tree() {
				if strings.HasSuffix(name, ".ko.xz") && e.Segment() != img.Segments[0] || name == "conf/modules" && e.Segment() != img.Segments[1] {
					t.Errorf("%s is in the other segment", name)
				}
			}
		}
		judgeIndexes(t, img)
	})
}

// Modules go where the archive's own are, which modprobe looks through: /lib need not be a link into usr.
func TestModulesOfUnmergedArchive(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	delete(tgt.Archive, "lib")
	for _, name := range slices.Sorted(maps.Keys(tgt.Archive)) {
		if below, ok := strings.CutPrefix(name, "usr/lib/modules"); ok {
			tgt.Archive["lib/modules"+below] = tgt.Archive[name]
			delete(tgt.Archive, name)
		}
	}
	img, _ := patch(t, tgt, want("smsc95xx", "mii"))
	if got := modulesOf(img); got != "crc16 e1000 mii smsc95xx usbnet" {
		t.Errorf("modules %s", got)
	}
	if index := text(t, img, "lib/modules/"+tgt.Kernel+"/modules.dep"); !strings.Contains(index, "smsc95xx.ko") {
		t.Errorf("modules.dep %q", index)
	}
	for name := range img.Tree() {
		if strings.HasPrefix(name, "usr/lib/modules") {
			t.Errorf("%s is where modprobe does not look", name)
		}
	}
}

// A module in the archive that is a link to where the root tree has it is one, as mkinitramfs copies it, and stays in the indexes.
func TestModulesThatAreLinks(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	dir := "usr/lib/modules/" + tgt.Kernel + "/kernel"
	moveDir(tgt.Archive, dir, "opt/kernel", "")
	delete(tgt.Archive, dir)
	for name := range maps.Clone(tgt.Archive) {
		if below, ok := strings.CutPrefix(name, "opt/kernel/"); ok && strings.HasSuffix(name, ".ko") {
			tgt.Archive[path.Join(dir, below)] = tiny.Link("/" + name)
			for up := path.Dir(path.Join(dir, below)); tgt.Archive[up] == nil; up = path.Dir(up) {
				tgt.Archive[up] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
			}
		}
	}
	img, r := patch(t, tgt, want("smsc95xx", "mii"))
	for _, p := range r.Patches {
		if p.Name == "modules" && !strings.Contains(p.Summary, "of these new: usbnet, crc16, smsc95xx") {
			t.Error(p.Summary)
		}
	}
	for _, name := range []string{"mii.ko", "e1000.ko", "smsc95xx.ko"} {
		if index := text(t, img, "lib/modules/"+tgt.Kernel+"/modules.dep"); !strings.Contains(index, name+":") {
			t.Errorf("no %s in modules.dep %q", name, index)
		}
	}
	if f := debian.Read(read(t, tgt)); f.Modules != 2 {
		t.Errorf("%d modules", f.Modules)
	}
}

// A module that nobody can load is named: one that was cut, or that gzip has packed, which Debian's kmod cannot read, nor does it index it. One of
// those that is wanted is refused.
func TestModulesNobodyLoads(t *testing.T) {
	spoil := func(tgt *tiny.Target) string {
		dir := "usr/lib/modules/" + tgt.Kernel + "/kernel/"
		whole := tinyelf.Module{Info: "vermagic=" + tgt.Kernel + " SMP\x00", Exports: []string{"whole"}}.Bytes()
		tgt.Archive[dir+"cut.ko"] = tiny.Text(string(whole[:len(whole)-8]))
		tgt.Archive[dir+"text.ko"] = tiny.Text("a note\n")
		tgt.Archive[dir+"zipped.ko.gz"] = tiny.Text(string(judge.Gzip(whole)))
		return dir
	}
	tgt := tiny.New("bookworm", true)
	spoil(tgt)
	img, r := patch(t, tgt, want("smsc95xx"))
	notes := strings.Join(r.Notes, "\n")
	for _, said := range []string{"module kernel/cut.ko cannot be read", "module kernel/text.ko cannot be read", "packed with gzip, which are in no index", "kernel/zipped.ko.gz"} {
		if strings.Count(notes, said) != 1 {
			t.Errorf("%q is not said once:\n%s", said, notes)
		}
	}
	if index := text(t, img, "usr/lib/modules/"+tgt.Kernel+"/modules.dep"); strings.Contains(index, "zipped") || !strings.Contains(index, "kernel/cut.ko:") {
		t.Errorf("modules.dep\n%s", index)
	}
	t.Run("as depmod", func(t *testing.T) {
		judge.Tool(t, "depmod")
		judgeIndexes(t, img)
	})

	tgt = tiny.New("bookworm", true)
	at := spoil(tgt) + "zipped.ko.gz"
	tgt.Root[at] = tgt.Archive[at]
	if err := refused(t, tgt, want("zipped")); !strings.Contains(err.Error(), "zipped.ko.gz is packed with gzip") {
		t.Errorf("wanted: %v", err)
	}
	if tgt.Root = nil; !strings.Contains(refused(t, tgt, want("zipped")).Error(), "zipped.ko.gz is packed with gzip") {
		t.Error("wanted, without a root tree")
	}
	tgt = tiny.New("bookworm", true)
	spoil(tgt)
	tgt.Archive["usr/bin/kmod"] = tiny.Program(tinyelf.File{Interp: "/lib64/ld-linux-x86-64.so.2", Needed: []string{"libc.so.6", "libz.so.1"}}.Bytes())
	tgt.Archive["usr/lib/x86_64-linux-gnu/libz.so.1"] = tgt.Archive["usr/lib/x86_64-linux-gnu/libc.so.6"]
	if img, r = patch(t, tgt, want("smsc95xx")); strings.Contains(strings.Join(r.Notes, "\n"), "gzip") || !strings.Contains(text(t, img, "usr/lib/modules/"+tgt.Kernel+"/modules.dep"), "zipped.ko.gz:") {
		t.Errorf("with zlib: %q", r.Notes)
	}
}

// What is known of an archive without modules is said: the directory for them names a kernel, and nothing else does.
func TestWithoutModules(t *testing.T) {
	for _, c := range []struct {
		dir          bool // is left
		kernel, said string
	}{
		{true, "6.1.0-56-amd64", "no kernel modules in the archive: all that it needs has to be built into 6.1.0-56-amd64"},
		{false, "", "which kernel it is for cannot be told"},
	} {
		tgt := tiny.New("bookworm", true)
		for name := range tgt.Archive {
			if at := "usr/lib/modules"; strings.HasPrefix(name, at+"/") && (strings.Contains(name, ".ko") || !c.dir) {
				delete(tgt.Archive, name)
			}
		}
		_, r := patch(t, tgt, nil)
		notes := strings.Join(r.Notes, "\n")
		if r.Kernel != c.kernel || strings.Count(notes, c.said) != 1 || strings.Contains(notes, "push takes it") == c.dir {
			t.Errorf("kernel %q, and is told:\n%s", r.Kernel, notes)
		}
	}
	if _, r := patch(t, tiny.New("bookworm", true), nil); strings.Contains(strings.Join(r.Notes, "\n"), "no kernel modules") {
		t.Errorf("with modules: %q", r.Notes)
	}
}

func TestComputeModule3(t *testing.T) {
	each(t, func(t *testing.T, tgt *tiny.Target) {
		img, r := patch(t, tgt, func(o *Options) { o.Board = "cm3" })
		if got := modulesOf(img); got != "crc16 e1000 mii phy_generic smsc95xx usbnet" {
			t.Errorf("modules %s", got)
		}
		if got := text(t, img, "conf/modules"); got != "mii \nphy_generic \nsmsc95xx \n" {
			t.Errorf("conf/modules %q", got)
		}
		if conf := text(t, img, confPath); !strings.Contains(conf, "GROUNDHOG_MAC=cmdline\n") || r.Board != "cm3" {
			t.Errorf("%s, %s", r.Board, conf)
		}
	})
}

// judgeIndexes has kmod make the indexes of the archive's modules, and load by
// them.
func judgeIndexes(t *testing.T, img *initrd.Image) {
	t.Helper()
	root, kernel := t.TempDir(), debian.Read(img).Kernel()
	dir := "usr/lib/modules/" + kernel
	for name, e := range img.Tree() {
		if at := filepath.Join(root, strings.TrimPrefix(name, "usr/")); strings.HasPrefix(name, dir+"/") && e.IsFile() {
			judge.Must(t, os.MkdirAll(filepath.Dir(at), 0o755))
			judge.Must(t, os.WriteFile(at, img.Content(e), 0o644))
		}
	}
	if said := output(t, "depmod", "-n", "-b", root, kernel); !strings.HasPrefix(said, text(t, img, dir+"/modules.dep")) {
		t.Errorf("modules.dep\n%s\ndepmod -n\n%s", text(t, img, dir+"/modules.dep"), said)
	}
	modprobe := judge.Tool(t, "modprobe")
	var order []string
	for l := range strings.Lines(output(t, modprobe, "-D", "-d", root, "-S", kernel, "smsc95xx")) {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "insmod" {
			order = append(order, strings.SplitN(filepath.Base(f[1]), ".", 2)[0])
		}
	}
	if got := strings.Join(order, " "); got != "mii usbnet crc16 smsc95xx" {
		t.Errorf("modprobe would load %s", got)
	}
	output(t, "depmod", "-b", root, kernel)
	theirs := judge.ReadFile(t, filepath.Join(root, "lib/modules", kernel, "modules.dep.bin"))
	sameLayout := depmod.LayoutOf(theirs) == depmod.LayoutOf([]byte(text(t, img, path.Join(dir, "modules.dep.bin"))))
	for _, name := range []string{"modules.dep", "modules.dep.bin", "modules.alias", "modules.alias.bin", "modules.symbols", "modules.symbols.bin", "modules.softdep", "modules.devname"} {
		if strings.HasSuffix(name, ".bin") && !sameLayout { // of another kmod: modprobe has read it
			continue
		}
		b := judge.ReadFile(t, filepath.Join(root, "lib/modules", kernel, name))
		if string(b) != text(t, img, path.Join(dir, name)) {
			t.Errorf("%s is not as depmod makes it", name)
		}
	}
}

// What is listed already keeps its place, under whatever spelling.
func TestModulesListed(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	tgt.Archive["conf/modules"] = tiny.Text("# these\nmii \ne1000 debug=1")
	img, _ := patch(t, tgt, want("e1000", "mii", "usbcore"))
	if got := text(t, img, "conf/modules"); got != "# these\nmii \ne1000 debug=1\nusbcore \n" {
		t.Errorf("%q", got)
	}
	// Modules that are there need no root tree.
	o := defaults(tgt)
	o.Curl, o.Modules = false, []string{"mii", "usbcore", "e1000"}
	r := judge.Value(apply(read(t, tgt), nil, o))(t)
	if i := slices.IndexFunc(r.Patches, func(a Applied) bool { return a.Name == "modules" }); !strings.HasSuffix(r.Patches[i].Summary, "all there already") {
		t.Errorf("%+v", r.Patches[i])
	}
	o.Modules = []string{"phy-generic"}
	if _, err := apply(read(t, tgt), nil, o); err == nil || !strings.Contains(err.Error(), "module phy_generic: not in the archive") {
		t.Error(err)
	}
}

// Whoever names a board and no module hears what the board has to do with the one that is not there.
func TestModulesOfBoardRefused(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	for name := range tgt.Root {
		if strings.Contains(name, "/phy-generic.ko") {
			delete(tgt.Root, name)
		}
	}
	err := refused(t, tgt, func(o *Options) { o.Board = "cm3" })
	if !strings.Contains(err.Error(), "module phy_generic: not in kernel") || !strings.Contains(err.Error(), "; board cm3 needs mii, phy_generic, smsc95xx: is this a kernel for it?") {
		t.Error(err)
	}
}

func TestModulesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(tgt *tiny.Target)
		want   []string
	}{
		"unknown": {func(*tiny.Target) {}, []string{"module nosuch: not in kernel 6.1.0-56-amd64"}},
		"of another kernel": {func(tgt *tiny.Target) {
			tgt.Root["usr/lib/modules/"+tgt.Kernel+"/kernel/nosuch.ko"] = tiny.Text(string(tgt.Module("mii", "5.10.0-36-amd64")))
		}, []string{"5.10.0-36-amd64", "6.1.0-56-amd64", "nosuch"}},
		"no module": {func(tgt *tiny.Target) {
			tgt.Root["usr/lib/modules/"+tgt.Kernel+"/kernel/nosuch.ko"] = tiny.Text("garbage\n")
		}, []string{"nosuch"}},
		"root tree of another kernel": {func(tgt *tiny.Target) {
			for name, f := range tgt.Root {
				if strings.Contains(name, "/"+tgt.Kernel) {
					delete(tgt.Root, name)
					tgt.Root[strings.Replace(name, tgt.Kernel, "6.1.0-55-amd64", 1)] = f
				}
			}
		}, []string{"nosuch", "6.1.0-56-amd64", "; there are modules of 6.1.0-55-amd64"}},
		"needs one that is missing": {func(tgt *tiny.Target) {
			tgt.Root["usr/lib/modules/"+tgt.Kernel+"/kernel/nosuch.ko"] = tiny.Text(string(tgt.Module("usbnet", tgt.Kernel)))
			delete(tgt.Root, "usr/lib/modules/"+tgt.Kernel+"/kernel/drivers/net/mii.ko")
		}, []string{"nosuch", "needs mii"}},
	} {
		t.Run(name, func(t *testing.T) {
			tgt := tiny.New("bookworm", true)
			c.change(tgt)
			err := refused(t, tgt, want("nosuch"))
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("no %q in %v", w, err)
				}
			}
		})
	}
}
