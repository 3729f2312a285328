package sysroot

import (
	"debug/elf"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tinyelf"
	"groundhog/initrd/debian"
)

func TestRelease(t *testing.T) {
	for text, want := range map[string]string{
		"ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID=\"12\"\n":     "debian|bookworm|12",
		"ID='debian'\n# ID=x\nVERSION_CODENAME=\"tri\"'xie'":            "debian|trixie|",
		"VERSION_ID=\"a\\\"b\\$c\\d\"\n":                                `linux||a"b$c\d`,
		"ID=debian\r\nVERSION_CODENAME=trixie\r\nVERSION_ID=\"13\"\r\n": "debian|trixie|13",
		"ID=a\\ b\n":   "a b||",
		"ID=a\\ b c\n": "linux||", // for the command c alone
		"":             "linux||",
	} {
		fsys := fstest.MapFS{"etc/os-release": link("../usr/lib/os-release"), "usr/lib/os-release": file([]byte(text))}
		for range 2 { // then without the link in etc
			r, err := Release(fsys)
			if got := r.ID + "|" + r.Codename + "|" + r.Version; got != want || err != nil {
				t.Errorf("%q: %s, %v, want %s", text, got, err, want)
			}
			delete(fsys, "etc/os-release")
		}
	}
	for _, fsys := range []fstest.MapFS{{}, {"etc/os-release": file([]byte("ID=\"x\n"))}} {
		if _, err := Release(fsys); err == nil {
			t.Error("a release was found where there is none")
		}
	}
}

func TestArch(t *testing.T) {
	for _, arch := range []string{"amd64", "i386", "arm64", "armhf", "armel", "riscv64", "ppc64el", "s390x"} {
		m, _ := debian.MachineNamed(arch)
		b := tinyelf.File{Machine: m.ELF, Interp: "/x"}.Bytes()
		if m.Class == elf.ELFCLASS32 {
			b[elf.EI_CLASS] = byte(elf.ELFCLASS32)
			b[36], b[37] = 0, 0x02
			if arch == "armhf" {
				b[37] = 0x04
			}
		}
		if m.Data == elf.ELFDATA2MSB {
			b[elf.EI_DATA] = byte(m.Data)
			b[18], b[19] = b[19], b[18]
		}
		got, err := Arch(fstest.MapFS{"usr/bin/dpkg": file([]byte("#!/bin/sh\n")), "usr/bin/sh": link("dash"), "usr/bin/dash": file(b)})
		if got != arch || err != nil {
			t.Errorf("%s reads as %q, %v", arch, got, err)
		}
	}
	for want, fsys := range map[string]fstest.MapFS{
		"not found":       {"etc/x": file(nil)},
		"no architecture": {"bin/sh": file(tinyelf.File{Machine: elf.EM_SPARCV9}.Bytes())},
	} {
		if got, err := Arch(fsys); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q, %v, want an error with %q", got, err, want)
		}
	}
}

// dpkg itself says what the host is.
func TestArchAsDpkg(t *testing.T) {
	want := strings.TrimSpace(string(run(t, judge.Tool(t, "dpkg"), "--print-architecture")))
	if got, err := Arch(open(t, Dir("/"))); got != want || err != nil {
		t.Errorf("the host is %q, %v; dpkg says %q", got, err, want)
	}
}
