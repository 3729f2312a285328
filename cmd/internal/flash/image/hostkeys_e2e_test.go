//go:build e2e

package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// An image is anybody's: what is no key is none, is not shown, and takes neither time nor memory.
func TestHostKeysHostile(t *testing.T) {
	other, _ := system(t, "ed25519", "rsa")
	good, _ := os.ReadFile(filepath.Join(other, "etc/ssh/ssh_host_ed25519_key.pub"))
	rsa, _ := os.ReadFile(filepath.Join(other, "etc/ssh/ssh_host_rsa_key.pub"))
	in := "ssh_host_ed25519_key.pub"
	for name, tt := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"nothing":      {func(dir string) error { return nil }, "the image has none in /etc/ssh"},
		"no directory": {os.Remove, "has none in /etc/ssh"},
		"garbage":      {file(in, "SECRET\x1b[2J\n"), "that is no such key"},
		"binary":       {file(in, "\x00\xff\x00SECRET"), "that is no such key"},
		"zeros":        {file(in, strings.Repeat("\x00", 1000)), "that is no such key"},
		"long":         {file(in, strings.Repeat("SECRET ", 1<<20)), "more than 16384 bytes"},
		"long comment": {file(in, strings.TrimSpace(string(good))+strings.Repeat(" SECRET", 1<<20)), "more than 16384 bytes"},
		"two keys":     {file(in, string(good)+string(good)), "that is no such key"},
		"options":      {file(in, "command=\"SECRET\" "+string(good)), "that is no such key"},
		"cut":          {file(in, string(good[:40])), "that is no such key"},
		"another type": {file(in, string(rsa)), "that is no such key"},
		"certificate":  {file(in, strings.Replace(string(good), "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", 1)), "that is no such key"},
		"private key":  {copied(filepath.Join(other, "etc/ssh/ssh_host_ed25519_key"), in), "that is no such key"},
		"directory":    {func(dir string) error { return os.Mkdir(filepath.Join(dir, in), 0o755) }, "that is no such key"},
		"link out":     {func(dir string) error { return os.Symlink(filepath.Join(other, "etc/ssh", in), filepath.Join(dir, in)) }, "the image has"},
		"directory out": {func(dir string) error {
			return errors.Join(os.Remove(dir), os.Symlink(filepath.Join(other, "etc/ssh"), dir))
		}, "none in /etc/ssh"},
		"hole": {func(dir string) error {
			return errors.Join(file(in, "SECRET")(dir), os.Truncate(filepath.Join(dir, in), 1<<40))
		}, "more than 16384 bytes"},
	} {
		root, _ := system(t)
		judge.Must(t, tt.make(filepath.Join(root, "etc/ssh")))
		image := blank(t, 16*mib, "")
		if name == "hole" { // mke2fs -d would read all of it
			mkfs(t, image, "ext4", t.TempDir(), 0)
			tool(t, "mkdir etc\nmkdir etc/ssh\ncd etc/ssh\nwrite /dev/null "+in+"\nsif "+in+" size 0x10000000000\n", "debugfs", "-w", image)
		} else {
			tool(t, "", "mke2fs", "-q", "-F", "-t", "ext4", "-d", root, image)
		}
		noHostKey(t, name, image, tt.want)
	}
	// A good key counts beside a bad one, and behind any damage nothing is read for a key that is none.
	root, want := system(t, "rsa")
	judge.Must(t, file(in, "SECRET")(filepath.Join(root, "etc/ssh")))
	image := blank(t, 8*mib, "")
	mkfs(t, image, "ext4", root, 0)
	keys, err := open(t, image, "", nil).HostKeys(t.Context())
	if got := fingerprints(keys); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("beside a bad one: %q, %v", got, err)
	}
	b, _ := os.ReadFile(image)
	for n := 1024; n < 2048; n += 61 {
		bad := bytes.Clone(b)
		bad[n] ^= 0xff
		os.WriteFile(image, bad, 0o600)
		keys, err := open(t, image, "", nil, Force(true)).HostKeys(t.Context())
		if got := fingerprints(keys); err == nil && fmt.Sprint(got) != fmt.Sprint(want) || err != nil && !errors.Is(err, ErrNoHostKey) {
			t.Errorf("superblock with another byte %d: %q, %v", n, got, err)
		}
	}
}

// What is in an image that cannot be read is named, as its own tools made it.
func TestHostKeysElsewhere(t *testing.T) {
	for _, tt := range []struct {
		kind string
		size int64 // MiB, about the least that the tool takes
		cmd  []string
	}{
		{"btrfs", 128, []string{"mkfs.btrfs", "-q"}},
		{"xfs", 300, []string{"mkfs.xfs", "-q"}},
		{"f2fs", 64, []string{"mkfs.f2fs", "-q"}},
		{"vfat", 40, []string{"mformat", "-F", "::", "-i"}},
		{"LUKS", 20, []string{"cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-"}},
		{"swap", 8, []string{"mkswap", "-q"}},
	} {
		part := blank(t, tt.size*mib, "")
		tool(t, "passphrase", tt.cmd[0], append(tt.cmd[1:], part)...)
		noHostKey(t, tt.kind, part, "the image is "+tt.kind)
		if tt.size > 100 {
			continue // it takes its time
		}
		image := blank(t, (tt.size+2)*mib, "label: gpt\nstart=1MiB\n")
		tool(t, "", "dd", "if="+part, "of="+image, "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
		noHostKey(t, tt.kind, image, "partition 1 is "+tt.kind)
	}
	noHostKey(t, "zeros", blank(t, 3*mib, ""), "no filesystem")
	noHostKey(t, "empty partitions", blank(t, 8*mib, gptScript), "no filesystem")
	damaged := blank(t, 8*mib, gptScript)
	b, _ := os.ReadFile(damaged)
	b[600] ^= 1
	os.WriteFile(damaged, b, 0o600)
	noHostKey(t, "damaged table", damaged, "GPT")
}

func copied(from, name string) func(string) error {
	return func(dir string) error {
		b, err := os.ReadFile(from)
		return errors.Join(err, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
}
