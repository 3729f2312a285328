package patches

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/initrd/debian"
)

// modprobed is what modprobe would do for a module of the archive, by the archive's configuration.
func modprobed(t *testing.T, img *initrd.Image, module string) string {
	t.Helper()
	root, kernel := t.TempDir(), debian.Read(img).Kernel()
	for name, e := range img.Tree() {
		if at := filepath.Join(root, strings.TrimPrefix(name, "usr/")); e.IsFile() && (strings.HasPrefix(name, "usr/lib/modules/") || strings.Contains(name, "modprobe.d/")) {
			judge.Must(t, os.MkdirAll(filepath.Dir(at), 0o755))
			judge.WriteFile(t, at, img.Content(e))
		}
	}
	args := []string{"-n", "-v", "-d", root, "-S", kernel}
	for _, dir := range []string{"etc/modprobe.d", "lib/modprobe.d"} {
		judge.Must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
		args = append(args, "-C", filepath.Join(root, dir))
	}
	return output(t, judge.Tool(t, "modprobe"), append(args, module)...)
}

// A module that modprobe would not load, or one that it needs, is refused where modprobe.d says so; what is loaded by a command of the owner's is
// told. modprobe itself says what it would do.
func TestModulesInstalled(t *testing.T) {
	conf := func(text string) map[string]string { return map[string]string{"etc/modprobe.d/a.conf": text + "\n"} }
	for about, c := range map[string]struct {
		files         map[string]string
		refused, note string
		loads         bool // by modprobe
	}{
		"nothing":                  {nil, "", "", true},
		"a blacklist":              {conf("blacklist usbnet\nblacklist mii"), "", "", true},
		"another's":                {conf("install usb /bin/true"), "", "", true},
		"not read":                 {map[string]string{"etc/modprobe.d/a": "install usbnet /bin/true\n"}, "", "", true},
		"in a comment":             {conf("# install usbnet /bin/true"), "", "", true},
		"itself":                   {conf("install usbnet /bin/true"), "module usbnet: modprobe would not load it, by etc/modprobe.d/a.conf of the archive", "", false},
		"below lib":                {map[string]string{"usr/lib/modprobe.d/a.conf": "\tinstall  usbnet   /bin/false\n"}, "by lib/modprobe.d/a.conf of ", "", false},
		"over two lines":           {conf("install usbnet \\\n /usr/bin/true"), "(install usbnet /usr/bin/true)", "", false},
		"what it needs":            {conf("install mii /bin/true"), "module mii: modprobe would not load it", "", false},
		"by a pattern":             {conf("install usb?et /bin/true"), "(install usb?et /bin/true)", "", false},
		"a command":                {conf("install usbnet /sbin/mine; modprobe --ignore-install usbnet"), "", "modprobe runs a command in its place", true},
		"the first of two":         {map[string]string{"etc/modprobe.d/a.conf": "install usbnet modprobe -i usbnet\n", "etc/modprobe.d/b.conf": "install usbnet /bin/true\n"}, "", "(install usbnet modprobe -i usbnet)", true},
		"with a soft dependency":   {conf("install usbnet /bin/true\nsoftdep usbnet pre: crc16"), "", "module usbnet: modprobe may not load it", false},
		"in place of another file": {map[string]string{"etc/modprobe.d/a.conf": "# nothing\n", "usr/lib/modprobe.d/a.conf": "install usbnet /bin/true\n"}, "", "", true},
	} {
		tgt := tiny.New("bookworm", true)
		for name, text := range c.files {
			tgt.Archive[name] = tiny.Text(text)
		}
		o := defaults(tgt)
		o.Modules = []string{"usbnet"}
		img := read(t, tgt)
		r, err := apply(img, tgt.Root, o)
		switch {
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "run update-initramfs there")), c.refused == "" && err != nil:
			t.Errorf("%s: %v, want %q", about, err, c.refused)
		case err == nil && !strings.Contains(strings.Join(r.Notes, "\n"), c.note):
			t.Errorf("%s: %q, want %q", about, r.Notes, c.note)
		}
		for name := range c.files {
			delete(tgt.Archive, name)
		}
		whole, _ := patch(t, tgt, want("usbnet"))
		for name, text := range c.files {
			if _, err := whole.Put(name, initrd.File{Mode: initrd.TypeFile | 0o644, Data: []byte(text)}); err != nil {
				t.Fatal(err)
			}
		}
		said := modprobed(t, whole, "usbnet")
		loads := strings.Contains(said, "mii.ko") && strings.Contains(said, "usbnet.ko") || strings.Contains(said, "modprobe")
		if loads != c.loads {
			t.Errorf("%s: modprobe says %q", about, said)
		}
	}
}

// A soft dependency that is not loaded is told; a module that has some itself is loaded whatever an install line says.
func TestModulesInstalledSoft(t *testing.T) {
	for line, note := range map[string]string{"install crc16 /bin/true": "module crc16: modprobe may not load it", "install smsc95xx /bin/true": ""} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive["etc/modprobe.d/a.conf"] = tiny.Text(line + "\n")
		img, r := patch(t, tgt, want("smsc95xx"))
		if said := strings.Join(r.Notes, "\n"); !strings.Contains(said, note) || note == "" && strings.Contains(said, "modprobe") {
			t.Errorf("%s: %q", line, said)
		}
		if said := modprobed(t, img, "smsc95xx"); !strings.Contains(said, "/smsc95xx.ko") {
			t.Errorf("%s: modprobe says %q", line, said)
		}
	}
}

// The same of a root tree, of which mkinitramfs takes etc/modprobe.d and lib/modprobe.d.
func TestHooksModulesInstalled(t *testing.T) {
	o := hookOptions()
	o.Modules = []string{"usbnet"}
	module := tiny.New("bookworm", true)
	for name, refused := range map[string]bool{"": false, "etc/modprobe.d/a.conf": true, "lib/modprobe.d/a.conf": true, "run/modprobe.d/a.conf": false, "etc/modprobe.d/a.old": false} {
		tree := hookTree("bookworm")
		tree["lib/modules/6.1.0/kernel/usbnet.ko"] = &fstest.MapFile{Data: module.Module("usbnet", "6.1.0"), Mode: 0o644}
		if name != "" {
			tree[name] = &fstest.MapFile{Data: []byte("install mii /bin/true\ninstall usbnet /bin/true\n"), Mode: 0o644} // mii is built in
		}
		_, err := Hooks(tree, nil, o, "groundhog test")
		if refused != (err != nil) || err != nil && !strings.Contains(err.Error(), "module usbnet: modprobe would not load it, by "+name+" of the root tree") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
