//go:build e2e

package image

import (
	"errors"
	"os"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// What cannot be read is a reason, once and for all devices; nothing out of the image is read.
func TestStartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		make func(root string) error
		want string
	}{
		"no such file": {"linux /gone", nil, "/gone, which is not in the image"},
		"a directory":  {"linux /boot/none", nil, "which is not in the image"},
		"a link out":   {"linux /boot/link", func(root string) error { return os.Symlink("/proc/version", root+"/boot/link") }, "which is not in the image"},
		"a link back":  {"linux /boot/link", func(root string) error { return os.Symlink("link", root+"/boot/link") }, "not in the image"},
		"quotes":       {"linux '/boot/x\" -f /etc/passwd'", nil, "names the file"},
		"a large one": {"linux /boot/large", func(root string) error {
			return errors.Join(file("boot/large", "x")(root), os.Truncate(root+"/boot/large", 1<<40))
		}, "more than 134217728 bytes"},
		"grub.cfg gone": {"", func(root string) error { return os.RemoveAll(root + "/boot/grub") }, "neither grub.cfg"},
	} {
		root := bootRoot(t, c.body)
		if c.make != nil {
			judge.Must(t, c.make(root))
		}
		image := blank(t, 24*mib, "")
		if name == "a large one" { // mke2fs -d would read all of it
			os.Remove(root + "/boot/large")
			tool(t, "", "mke2fs", "-q", "-F", "-t", "ext4", "-d", root, image)
			tool(t, "cd boot\nwrite /dev/null large\nsif large size 0x10000000000\n", "debugfs", "-w", image)
		} else {
			tool(t, "", "mke2fs", "-q", "-F", "-t", "ext4", "-d", root, image)
		}
		i := open(t, image, "", nil)
		_, err := i.Start(t.Context())
		if !errors.Is(err, ErrNoKernel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, again := i.Start(t.Context()); again != err {
			t.Errorf("%s: the second time %v", name, again)
		}
	}
	for want, script := range map[string]string{"neither grub.cfg": gptScript} {
		if _, err := open(t, blank(t, 14*mib, script), "", nil).Layout(t.Context()); !errors.Is(err, ErrNoKernel) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	defer func(dirs []string) { sbinDirs = dirs }(sbinDirs)
	image := blank(t, 24*mib, "")
	tool(t, "", "mke2fs", "-q", "-F", "-t", "ext4", image)
	sbinDirs = nil
	t.Setenv("PATH", t.TempDir())
	if _, err := open(t, image, "", nil).Start(t.Context()); !errors.Is(err, ErrNoKernel) || !strings.Contains(err.Error(), "debugfs is not installed") {
		t.Errorf("without debugfs: %v", err)
	}
}
