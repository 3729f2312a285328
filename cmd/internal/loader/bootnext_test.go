package loader

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// What the firmware says of how it started the system is read as the specification has it; where it says nothing of a partition of a GPT there is no BootNext.
func TestSurveyBootNext(t *testing.T) {
	for name, c := range map[string]struct {
		change func(l *local)
		want   map[string]string
	}{
		"a unified image":       {func(l *local) {}, map[string]string{"bootnext": "yes", "bootnext_part": diskGUID, "esp": "/boot/efi", "kernel_stub": "yes", "bootnext_told": "", "bootnext_taken": ""}},
		"another entry is next": {func(l *local) { l.variable("BootNext"+globalGUID, "\x0b\x00") }, map[string]string{"bootnext_told": "000B"}},
		"its number is taken": {func(l *local) {
			l.variable("Boot6768"+globalGUID, "\x01\x00\x00\x00\x04\x00"+utf16le("debian")+"\x7f\xff\x04\x00")
		},
			map[string]string{"bootnext": "yes", "bootnext_taken": "yes"}},
		"no EFI directory": {func(l *local) { os.RemoveAll(filepath.Join(l.root, "boot/efi/EFI")) }, map[string]string{"esp": "/boot/efi", "bootnext": "", "bootnext_part": diskGUID}},
		"another partition": {func(l *local) {
			l.variable("LoaderDevicePartUUID"+loaderGUID, utf16le(strings.ToUpper(diskGUID[:35])+"0"))
		}, map[string]string{"bootnext_part": diskGUID, "bootnext": "", "esp": ""}},
		"by a path without a partition": {func(l *local) {
			l.variable("Boot000A"+globalGUID, "\x01\x00\x00\x00\x0a\x00"+utf16le("UEFI disk")+"\x02\x01\x06\x00xx\x7f\xff\x04\x00")
		}, map[string]string{"bootnext": "", "esp": ""}},
		"of an MBR": {func(l *local) {
			l.variable("Boot000A"+globalGUID, "\x01\x00\x00\x00\x2e\x00"+utf16le("disk")+diskNode[:40]+"\x01\x01"+"\x7f\xff\x04\x00")
		}, map[string]string{"bootnext_part": "", "bootnext": "", "esp": ""}},
		"a node of no length": {func(l *local) {
			l.variable("Boot000A"+globalGUID, "\x01\x00\x00\x00\x32\x00"+utf16le("disk")+"\x02\x01\x00\x00"+diskNode+"\x7f\xff\x04\x00")
		}, map[string]string{"bootnext": ""}},
		"a path that is longer than it": {func(l *local) {
			l.variable("Boot000A"+globalGUID, "\x01\x00\x00\x00\xff\xff"+utf16le("disk")+diskNode)
		}, map[string]string{"bootnext": ""}},
		"no stub":    {func(l *local) { l.put("boot/config-"+running, "# CONFIG_EFI_STUB is not set\n") }, map[string]string{"kernel_stub": ""}},
		"no program": {func(l *local) { l.put("boot/vmlinuz-"+running, "\x1f\x8b") }, map[string]string{"kernel_stub": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocal(t, "dash")
			makeBootNext(t, l)
			l.put("boot/vmlinuz-"+running, "MZ")
			l.put("boot/config-"+running, "CONFIG_EFI_STUB=y\n")
			c.change(l)
			f := l.survey("")
			for key, want := range c.want {
				if got := f.Get(key); got != want {
					t.Errorf("%s is %q, not %q", key, got, want)
				}
			}
		})
	}
}

// After a wait that nobody used the system is up in the boot of our own load option, which is gone then: how it is started otherwise is still known, and the next
// push is as the first.
func TestBootNextUnused(t *testing.T) {
	l := newLocal(t, "dash")
	s := shots["BootNext"]
	s.make(t, l)
	l.put("boot/vmlinuz-"+running, "the kernel")
	want := l.survey("")
	for range 3 {
		l.edit = unsynced
		judge.Must(t, job(s.boot, "archive").Run(t.Context(), l, strings.NewReader("archive")))
		if got := s.boots(t, l); got != "archive" {
			t.Fatalf("it boots %q", got)
		}
		if out, exit := l.boot(); exit != 0 {
			t.Fatalf("%d: %s", exit, out)
		}
		if got := l.survey(""); got.Get("efi_file") != want.Get("efi_file") || got.Get("bootnext") != "yes" {
			t.Errorf("how it is started is %v, not %v", got, want)
		}
	}
}
