package image

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// bootRoot is a root tree with GRUB's configuration, a kernel behind a link as /vmlinuz is, and an initramfs.
func bootRoot(t testing.TB, body string) string {
	t.Helper()
	root := t.TempDir()
	judge.Must(t, os.MkdirAll(filepath.Join(root, "boot/grub"), 0o755))
	for name, content := range map[string]string{"boot/grub/grub.cfg": "menuentry 'Debian' {\n" + body + "\n}\n",
		"boot/vmlinuz-6": strings.Repeat("kernel", 300_000), "boot/initrd-6": strings.Repeat("initramfs", 400_000)} {
		judge.Must(t, file(name, content)(root))
	}
	judge.Must(t, os.Symlink("boot/vmlinuz-6", filepath.Join(root, "vmlinuz")))
	return root
}

// mkfat makes a FAT of a MiB or more, with such files.
func mkfat(t testing.TB, image string, off, size int64, files map[string]string) {
	t.Helper()
	at := fmt.Sprintf("%s@@%d", image, off)
	run := func(stdin, name string, args ...string) {
		t.Helper()
		c := exec.Command(judge.Tool(t, name), args...)
		c.Stdin, c.Env = strings.NewReader(stdin), append(os.Environ(), "MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null")
		judge.Run(t, c)
	}
	run("", "mformat", "-i", at, "-T", fmt.Sprint(size/512), "-N", "6D0AF00D", "::")
	made := map[string]bool{".": true}
	for name, content := range files {
		for n := range strings.Count(name, "/") {
			dir := strings.Join(strings.Split(name, "/")[:n+1], "/")
			if !made[dir] {
				run("", "mmd", "-i", at, "::"+dir)
				made[dir] = true
			}
		}
		run(content, "mcopy", "-i", at, "-", "::"+name)
	}
}

// What GRUB would start is read from the image, however that is packed, and is the tree's own files.
func TestStart(t *testing.T) {
	const uuid = "6d0a0b0c-0002-4000-8000-0000000000f5"
	root := bootRoot(t, "search --fs-uuid --set=root "+uuid+"\nlinux /vmlinuz root=UUID="+uuid+" ro\ninitrd /boot/initrd-6")
	image := blank(t, 24*mib, "label: gpt\nsize=2MiB,type=uefi\nstart=4MiB,type=linux\n")
	tool(t, "", "mke2fs", "-q", "-F", "-t", "ext4", "-U", uuid, "-d", root, "-E", fmt.Sprintf("offset=%d", 4*mib), image, "19M")
	mkfat(t, image, mib, 2*mib, map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ shim"})
	b := judge.ReadFile(t, image)
	kernel, _ := os.ReadFile(root + "/boot/vmlinuz-6")
	initrd, _ := os.ReadFile(root + "/boot/initrd-6")
	packed := old(t, image+".zst", packWith(t, packers["zstd"], b))
	for _, from := range []string{old(t, image, b), image, packed, packed, "-"} { // the second time, an index is there
		i := open(t, from, "", bytes.NewReader(b))
		layout, err := i.Layout(t.Context())
		if want := "GRUB, grub.cfg on ext, GPT, EFI"; layout != want || err != nil {
			t.Errorf("from %s: layout %q, %v, want %q", from, layout, err, want)
		}
		s, err := i.Start(t.Context())
		if err != nil || !bytes.Equal(s.Kernel, kernel) || !bytes.Equal(s.Initrd, initrd) || s.Line != "BOOT_IMAGE=/vmlinuz root=UUID="+uuid+" ro" || s.Layout != layout {
			t.Errorf("from %s: %+.200v, %v", from, s, err)
		}
		if again, err := i.Start(t.Context()); again != s || err != nil {
			t.Errorf("from %s: it was read twice, %v", from, err)
		}
	}
}

// The same of systemd-boot, whose files are on the FAT.
func TestStartSystemdBoot(t *testing.T) {
	image := blank(t, 24*mib, "label: gpt\nsize=16MiB,type=uefi\n")
	mkfat(t, image, mib, 16*mib, map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ#### LoaderInfo: systemd-boot 252 ####", "loader/loader.conf": "timeout 1\n",
		"loader/entries/0123456789abcdef0123456789abcdef-6.1.0-57-amd64.conf": "options root=/dev/vda2\nlinux /0123/6.1.0-57-amd64/linux\ninitrd /0123/6.1.0-57-amd64/initrd.img-6.1.0-57-amd64\n",
		"0123/6.1.0-57-amd64/linux": strings.Repeat("kernel", 300_000), "0123/6.1.0-57-amd64/initrd.img-6.1.0-57-amd64": "initramfs"})
	s, err := open(t, image, "", nil).Start(t.Context())
	if err != nil || len(s.Kernel) != 1_800_000 || string(s.Initrd) != "initramfs" || s.Line != "root=/dev/vda2" || s.Layout != "systemd-boot, entry in a file, GPT, EFI" {
		t.Errorf("%+.200v, %v", s, err)
	}
}
