package diff_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"
	"groundhog/manifest/diff"
)

// builds are two of one system with the next kernel: 300 modules in other bytes, 7 of them longer, 2 new, and the
// next libssl. gone is a module that the new one lacks, if it is not empty.
func builds(gone string) (a, b *manifest.Manifest) {
	side := func(release, ssl, version string) *manifest.Manifest {
		m := &manifest.Manifest{Schema: 1, Source: manifest.Root, Kernels: []string{release}}
		add := func(path, pkg, content string, size int64) {
			m.Entries = append(m.Entries, manifest.Entry{Path: path, Type: manifest.File, Mode: 0o644, Size: size,
				SHA256: fmt.Sprintf("%064x", content), Origin: &manifest.Origin{Kind: manifest.FromPackage, Name: pkg, Architecture: "amd64"}})
		}
		image := "linux-image-" + release
		add("boot/vmlinuz-"+release, image, release, 8000)
		m.Entries = append(m.Entries, manifest.Entry{Path: "usr/lib/modules/" + release + "/build", Type: manifest.Symlink, Mode: 0o777,
			Target: "/usr/src/linux-headers-" + release})
		for i := range 300 {
			size := int64(1000)
			if version == "2" && i < 7 {
				size++
			}
			add(fmt.Sprintf("usr/lib/modules/%s/kernel/m%03d.ko", release, i), image, fmt.Sprint(release, i), size)
		}
		add("usr/lib/x86_64-linux-gnu/libssl.so."+ssl, "libssl"+ssl, ssl, 500)
		for _, name := range []string{image, "libssl" + ssl} {
			m.Packages = append(m.Packages, manifest.Package{Name: name, Version: version, Architecture: "amd64", Files: 1})
		}
		return m
	}
	a, b = side("6.1.0-50-amd64", "1.1", "1"), side("6.1.0-51-amd64", "3", "2")
	for _, name := range []string{"new1", "new2"} {
		e := b.Entries[2]
		e.Path, e.SHA256 = "usr/lib/modules/6.1.0-51-amd64/kernel/"+name+".ko", fmt.Sprintf("%064x", name)
		b.Entries = append(b.Entries, e)
	}
	if gone != "" {
		e := a.Entries[2]
		e.Path, e.SHA256 = "usr/lib/modules/6.1.0-50-amd64/kernel/"+gone+".ko", fmt.Sprintf("%064x", gone)
		a.Entries = append(a.Entries, e)
	}
	for _, m := range []*manifest.Manifest{a, b} { // as a manifest is read: sorted
		var out bytes.Buffer
		if err := manifest.Encode(&out, m); err != nil {
			panic(err)
		}
	}
	return a, b
}

// The next ABI of a kernel, and the next libssl, remove nothing: the README's gate stays green, and the report says what happened.
func TestKernelBump(t *testing.T) {
	rules := judge.Value(diff.ParseRules("setuid,keys,unknown,removed,size>5%"))(t)
	a, b := builds("")
	c := diff.Of(a, b, false)
	if trips := c.Gate(rules); len(trips) != 0 || c.Total.Added != 2 || c.Total.Removed != 0 || c.Same {
		t.Errorf("%v, %+v", trips, c.Total)
	}
	var text, markdown, json, page bytes.Buffer
	for _, err := range []error{c.WriteText(&text, false), c.WriteMarkdown(&markdown), c.WriteJSON(&json), c.WriteHTML(&page, a, b)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const line = "6.1.0-50-amd64 -> 6.1.0-51-amd64: 302 modules, 7 changed in size, 2 new"
	for _, out := range []string{text.String(), markdown.String(), strings.NewReplacer("&gt;", ">", "<wbr>", "").Replace(page.String())} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in %.2000s", line, out)
		}
	}
	for _, want := range []string{"linux-image-6.1.0-50-amd64 1 -> linux-image-6.1.0-51-amd64 2", "libssl1.1 1 -> libssl3 2"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in %.2000s", want, text.String())
		}
	}
	if !strings.Contains(json.String(), `"resized": 7`) || !strings.Contains(json.String(), `"was": "libssl1.1"`) {
		t.Errorf("%.1000s", json.String())
	}
}

// What the next kernel really lacks is removed, and named.
func TestKernelBumpLosesAModule(t *testing.T) {
	rules := judge.Value(diff.ParseRules("removed"))(t)
	trips := diff.Of(pair(builds("igb"))).Gate(rules)
	if len(trips) != 1 || trips[0].Where != "usr/lib/modules/6.1.0-50-amd64/kernel/igb.ko" {
		t.Errorf("%v", trips)
	}
}

// Patches that touch the next kernel's modules and indexes touch the same paths as before; one that touches another does not.
func TestPatchesOverAKernelBump(t *testing.T) {
	rules := judge.Value(diff.ParseRules("patches"))(t)
	a, b := builds("")
	for m, paths := range map[*manifest.Manifest][]string{
		a: {"usr/lib/modules/6.1.0-50-amd64/modules.dep", "usr/lib/modules/6.1.0-50-amd64/kernel/net/usb/smsc95xx.ko", "root-abcdefghij/.ssh"},
		b: {"root-0123456789/.ssh", "usr/lib/modules/6.1.0-51-amd64/kernel/net/usb/new/smsc95xx.ko.xz", "usr/lib/modules/6.1.0-51-amd64/modules.dep"},
	} {
		m.Patches = []manifest.Patch{{Name: "modules", Summary: "smsc95xx", Paths: paths}}
	}
	if trips := diff.Of(a, b, false).Gate(rules); len(trips) != 0 {
		t.Errorf("%v", trips)
	}
	b.Patches[0].Paths = append(b.Patches[0].Paths, "usr/lib/modules/6.1.0-51-amd64/kernel/mii.ko")
	if trips := diff.Of(a, b, false).Gate(rules); len(trips) != 1 {
		t.Errorf("another module: %v", trips)
	}
}

// The package of a kernel that became one whose name has nothing in common with it but the release is the same package.
func TestKernelPackageOfAnotherRelease(t *testing.T) {
	a, b := builds("")
	for i := range b.Entries {
		e := &b.Entries[i]
		e.Path = strings.ReplaceAll(e.Path, "6.1.0-51-amd64", "6.12.94+deb13-amd64")
		if e.Origin != nil {
			e.Origin.Name = strings.ReplaceAll(e.Origin.Name, "6.1.0-51-amd64", "6.12.94+deb13-amd64")
		}
	}
	for i := range b.Packages {
		b.Packages[i].Name = strings.ReplaceAll(b.Packages[i].Name, "6.1.0-51-amd64", "6.12.94+deb13-amd64")
	}
	b.Kernels = []string{"6.12.94+deb13-amd64"}
	for _, g := range diff.Of(a, b, false).Packages {
		if strings.HasPrefix(g.Name, "linux-image-") && (g.Was != "linux-image-6.1.0-50-amd64" || g.Name != "linux-image-6.12.94+deb13-amd64") {
			t.Errorf("%s, was %s", g.Name, g.Was)
		}
	}
}

// What programs find where the old one was is not gone: across a merged /usr, with the next kernel as well, and compressed otherwise. What is
// really gone is, and a device node that came is from nobody.
func TestSamePlaceElsewhere(t *testing.T) {
	rules := judge.Value(diff.ParseRules("removed,unknown"))(t)
	from := &manifest.Origin{Kind: manifest.FromPackage, Name: "kmod", Architecture: "amd64"}
	system := func(kernel string, names ...string) *manifest.Manifest {
		m := &manifest.Manifest{Schema: 1, Source: manifest.Root, Architecture: "amd64", Kernels: []string{kernel},
			Packages: []manifest.Package{{Name: "kmod", Version: "1", Architecture: "amd64"}}}
		for i, name := range names {
			e := manifest.Entry{Path: name, Type: manifest.File, Mode: 0o755, Size: int64(1000 + i), SHA256: fmt.Sprintf("%064x", len(kernel)*1000+i), Origin: from}
			if strings.HasPrefix(name, "dev/") {
				e = manifest.Entry{Path: name, Type: manifest.Char, Device: "1:1"}
			}
			m.Entries = append(m.Entries, e)
		}
		slices.SortFunc(m.Entries, func(x, y manifest.Entry) int { return strings.Compare(x.Path, y.Path) })
		return m
	}
	for what, c := range map[string]struct {
		old, now *manifest.Manifest
		want     string
	}{
		"merged":            {system("6.1.0-1-amd64", "bin/kmod", "lib/modules/6.1.0-1-amd64/kernel/a.ko"), system("6.1.0-1-amd64", "usr/bin/kmod", "usr/lib/modules/6.1.0-1-amd64/kernel/a.ko"), ""},
		"split":             {system("6.1.0-1-amd64", "usr/bin/kmod", "usr/lib64/ld.so"), system("6.1.0-1-amd64 ", "bin/kmod", "lib64/ld.so"), ""},
		"with a kernel":     {system("6.1.0-1-amd64", "lib/modules/6.1.0-1-amd64/modules.order"), system("6.12.9+deb13-amd64", "usr/lib/modules/6.12.9+deb13-amd64/modules.order"), ""},
		"compressed":        {system("6.1.0-1-amd64", "usr/lib/modules/6.1.0-1-amd64/kernel/a.ko", "usr/lib/firmware/b.bin"), system("6.1.0-1-amd64 ", "usr/lib/modules/6.1.0-1-amd64/kernel/a.ko.xz", "usr/lib/firmware/b.bin.zst"), ""},
		"packed documents":  {system("6.1.0-1-amd64", "usr/share/b"), system("6.1.0-1-amd64 ", "usr/share/b.xz"), "removed usr/share/b"},
		"another directory": {system("6.1.0-1-amd64", "usr/bin/kmod"), system("6.1.0-1-amd64 ", "usr/sbin/kmod"), "removed usr/bin/kmod"},
		"a device node":     {system("6.1.0-1-amd64"), system("6.1.0-1-amd64", "dev/mem"), "unknown dev/mem"},
		"the same node":     {system("6.1.0-1-amd64", "dev/mem"), system("6.1.0-1-amd64", "dev/mem"), ""},
	} {
		c.now.Kernels[0] = strings.TrimSpace(c.now.Kernels[0]) // the blank was for other contents
		var got []string
		for _, trip := range diff.Of(c.old, c.now, false).Gate(rules) {
			got = append(got, trip.Rule+" "+trip.Where)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
