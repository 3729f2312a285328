package sysroot

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
)

// Where the kernel looks, and in which order: what an administrator put into
// updates counts, plain before packed, whatever of /lib is merged.
func TestFindFirmware(t *testing.T) {
	const fw = "usr/lib/firmware/"
	tree := fstest.MapFS{
		fw + "plain.fw": file(nil), fw + "plain.fw.xz": file(nil),
		fw + "packed.fw.xz": file(nil), fw + "packed.fw.zst": file(nil),
		fw + "updates/new.fw": file(nil), fw + "new.fw": file(nil),
		fw + "updates/p.fw.xz": file(nil), fw + "p.fw": file(nil),
		fw + kernel + "/own.fw": file(nil), fw + "own.fw": file(nil),
		"lib/firmware/old/unmerged.fw": file(nil),
		fw + "link.fw":                 link("plain.fw"), fw + "nowhere.fw": link("none"),
		fw + "b/x1.bin": file(nil), fw + "b/x2.bin.zst": file(nil), fw + "updates/" + kernel + "/b/x2.bin": file(nil),
	}
	for name, want := range map[string]string{
		"plain.fw": fw + "plain.fw", "packed.fw": fw + "packed.fw.zst", "new.fw": fw + "updates/new.fw", "p.fw": fw + "p.fw",
		"own.fw": fw + kernel + "/own.fw", "old/unmerged.fw": "lib/firmware/old/unmerged.fw", "link.fw": fw + "link.fw",
		"nowhere.fw": "", "none.fw": "", "b/*.bin": fw + "b/x1.bin " + fw + "updates/" + kernel + "/b/x2.bin", "b/[.bin": "",
	} {
		found := judge.Value(FindFirmware(tree, kernel, name))(t)
		var got []string
		for _, f := range found {
			got = append(got, f.Path)
		}
		if strings.TrimPrefix(strings.Join(got, " "), "lib/") != strings.TrimPrefix(want, "lib/") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Packed firmware is unpacked for a kernel that would not.
func TestReadFirmware(t *testing.T) {
	for _, c := range []struct {
		kernel, config, suffix string
		asIs                   bool
	}{
		{"6.12.57+deb13-amd64", "CONFIG_FW_LOADER_COMPRESS=y\nCONFIG_FW_LOADER_COMPRESS_XZ=y\n", ".xz", true},
		{"6.12.57+deb13-amd64", "CONFIG_FW_LOADER_COMPRESS=y\nCONFIG_FW_LOADER_COMPRESS_XZ=y\n", ".zst", false},
		{"6.1.0-56-amd64", "# CONFIG_FW_LOADER_COMPRESS is not set\n", ".xz", false},
		{"6.1.0-56-amd64", "", ".zst", true},
		{"5.10.0-36-amd64", "", ".zst", false},
		{"5.10.0-36-amd64", "CONFIG_FW_LOADER_COMPRESS=y\n", ".xz", true},
		{"4.19.0-27-amd64", "", ".xz", false},
	} {
		packed := squeeze(t, c.suffix, []byte("firmware"))
		tree := fstest.MapFS{"lib/firmware/a.fw" + c.suffix: file(packed), "lib/firmware/plain.xz": file(packed)}
		if c.config != "" {
			tree["boot/config-"+c.kernel] = file([]byte(c.config))
		}
		b, asIs, err := ReadFirmware(tree, c.kernel, Firmware{"a.fw", "lib/firmware/a.fw" + c.suffix})
		judge.Must(t, err)
		if want := map[bool]string{true: string(packed), false: "firmware"}[c.asIs]; asIs != c.asIs || string(b) != want {
			t.Errorf("%+v: as it is: %v", c, asIs)
		}
		if b, asIs, err := ReadFirmware(tree, c.kernel, Firmware{"plain.xz", "lib/firmware/plain.xz"}); !asIs || err != nil || !slices.Equal(b, packed) {
			t.Errorf("%+v: asked for by that name: %v, %v", c, asIs, err)
		}
	}
	broken := fstest.MapFS{"lib/firmware/a.fw.xz": file([]byte("\xfd7zXZ\x00 cut"))}
	if _, _, err := ReadFirmware(broken, "4.19.0", Firmware{"a.fw", "lib/firmware/a.fw.xz"}); err == nil || !strings.Contains(err.Error(), "a.fw.xz") {
		t.Error(err)
	}
}

// A module's word is made part of a path: none that leads elsewhere counts.
func TestFirmwareNames(t *testing.T) {
	info, err := ParseModinfo("x.ko", ko("firmware=a/b.fw", "firmware=../../etc/shadow", "firmware=/etc/shadow", "firmware=",
		"firmware=a b", "firmware=x\n", "firmware=.", "firmware="+strings.Repeat("a", 2000)))
	judge.Must(t, err)
	if !slices.Equal(info.Firmware, []string{"a/b.fw"}) {
		t.Errorf("%q", info.Firmware)
	}
	tree := kernelTree(t)
	tree["usr/lib/modules/"+kernel+"/modules.builtin.modinfo"] = file([]byte("crc16.license=GPL\x00crc16.firmware=c.fw\x00crc16.firmware=../x\x00built-in.firmware=b.fw\x00"))
	m := judge.Value(OpenModules(tree, kernel))(t)
	list := judge.Value(m.Needs("crc16", "built_in"))(t)
	if len(list) != 2 || !slices.Equal(list[0].Firmware, []string{"c.fw"}) || !slices.Equal(list[1].Firmware, []string{"b.fw"}) {
		t.Errorf("%+v", list)
	}
}

// A pattern is held against names, not against all ways to them through links.
func TestFirmwarePatternIsBounded(t *testing.T) {
	tree := fstest.MapFS{"lib/firmware/f.bin": file(nil)}
	for i := range 30 {
		tree["lib/firmware/"+string(rune('a'+i))] = link(".")
	}
	if found, err := FindFirmware(tree, kernel, "*/f.bin"); err != nil || len(found) != 30 {
		t.Errorf("a level: %d, %v", len(found), err)
	}
	if _, err := FindFirmware(tree, kernel, strings.Repeat("*/", 9)+"none"); err == nil || !strings.Contains(err.Error(), "names to hold against the pattern") {
		t.Errorf("nine levels: %v", err)
	}
}
