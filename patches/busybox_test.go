package patches

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/fixtures/tinyelf"
	"groundhog/initrd"
)

// busybox comes with every applet's name as one file, in place of klibc's
// tools; what is another's stays.
func TestGraftBusybox(t *testing.T) {
	for _, release := range releases {
		tgt := tiny.New(release, false)
		tgt.Archive["usr/bin/mount"] = tiny.Program(tinyelf.File{Interp: "/lib64/ld-linux-x86-64.so.2"}.Bytes())
		tgt.Archive["usr/sbin/reboot"] = tiny.Link("../bin/kmod")
		img, r := patch(t, tgt, nil)
		box := img.Lookup("bin/busybox")
		names := map[string]bool{}
		for name, e := range img.Tree() {
			if e.LinkID() != nil && e.LinkID() == box.LinkID() {
				names[name] = true
				if e.Nlink != uint32(len(tiny.Applets)-2) || text(t, img, name) != string(tgt.Root["usr/bin/busybox"].Data) {
					t.Errorf("%s, %s: %d links", release, name, e.Nlink)
				}
			}
		}
		want := map[string]bool{}
		for _, name := range tiny.Applets {
			want[name] = name != "usr/bin/mount" && name != "usr/sbin/reboot"
			if !want[name] {
				delete(want, name)
			}
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s: names of busybox (-want +got):\n%s", release, diff)
		}
		if text(t, img, "bin/mount") != string(tgt.Archive["usr/bin/mount"].Data) || text(t, img, "bin/nfsmount") == "" || !img.Lookup("sbin/reboot").IsLink() {
			t.Errorf("%s: what was there is not", release)
		}
		if !strings.Contains(r.Patches[0].Summary, fmt.Sprintf("%d names of busybox", len(tiny.Applets)-2)) {
			t.Errorf("%s: %s", release, r.Patches[0].Summary)
		}
	}
}

// The names below sbin and bin are as busybox itself says.
func TestAppletsOfInstalled(t *testing.T) {
	path := judge.Tool(t, "busybox")
	b := readHost(t, path)
	got := judge.Value(readApplets(b))(t)
	var names []string
	sbin := map[string]bool{}
	for _, l := range strings.Fields(output(t, path, "--list-full")) {
		dir, name := l[:strings.LastIndex(l, "/")+1], l[strings.LastIndex(l, "/")+1:]
		names = append(names, name)
		sbin[name] = strings.HasSuffix(dir, "sbin/")
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("busybox --list-full and its table (-list +table):\n%s", diff)
	}
	for _, name := range names {
		if sbin[name] != sbinApplets[name] {
			t.Errorf("%s: below sbin: %v, want %v", name, sbinApplets[name], sbin[name])
		}
	}
}

func TestApplets(t *testing.T) {
	for in, want := range map[string]string{
		"x\x00[\x00[[\x00acpid\x00zcat\x00\x00y": "[ [[ acpid zcat",
		"x\x00[\x00[[\x00\x00":                   "[ [[",
		"":                                       "",
		"\x00[\x00[[\x00acpid":                   "",
		"\x00[\x00[[\x00a/b\x00\x00":             "",
		"\x00[\x00[[\x00a\nb\x00\x00":            "",
		"\x00[\x00[[\x00" + strings.Repeat("a\x00", 64<<10) + "\x00": "",
	} {
		got, err := readApplets([]byte(in))
		if strings.Join(got, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%.40q: %q, %v; want %q", in, got, err, want)
		}
	}
}

// FuzzApplets: whatever is read is names that can be files', and the archive
// takes them.
func FuzzApplets(f *testing.F) {
	f.Add([]byte("\x00[\x00[[\x00acpid\x00zcat\x00\x00"))
	f.Add([]byte("\x00[\x00[[\x00..\x00.\x00\x00"))
	f.Add([]byte("\x00[\x00[[\x00a\x00a\x00busybox\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		names, err := readApplets(b)
		if err != nil {
			return
		}
		for _, n := range names {
			if n == "" || strings.ContainsAny(n, "/\x00\n ") {
				t.Fatalf("%q", n)
			}
		}
		img := judge.Value(initrd.New(initrd.None, initrd.Entry{Name: ".", Mode: initrd.TypeDir | 0o755}))(t)
		target := &Archive{Image: img}
		paths := judge.Value(target.freeNames(b))(t)
		if err := img.PutLinks(paths, initrd.File{Mode: initrd.TypeFile | 0o755, Data: b}); err != nil {
			t.Fatal(fmt.Errorf("%q: %w", paths, err))
		}
	})
}

// What somebody put in busybox's place, by a diversion say, is named where it cannot be used.
func TestNoBusyboxInItsPlace(t *testing.T) {
	tgt := tiny.New("bookworm", false)
	tgt.Root["usr/bin/busybox"] = tiny.Program([]byte("#!/bin/dash\nexec /usr/bin/busybox.distrib \"$@\"\n"))
	if err := refused(t, tgt, nil); !strings.Contains(err.Error(), "usr/bin/busybox in the root tree cannot be used as busybox: no table of applet names in it") {
		t.Error(err)
	}
}
