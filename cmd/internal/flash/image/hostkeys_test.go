package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
)

const mib = 1 << 20

func tool(t testing.TB, stdin, name string, args ...string) {
	t.Helper()
	c := exec.Command(judge.Tool(t, name), args...)
	c.Stdin = strings.NewReader(stdin)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// system is a root tree with host keys of the given types, as ssh-keygen makes them, and their fingerprints. An rsa one is small:
// half of these tests' time would be large primes.
func system(t testing.TB, types ...string) (root string, want []string) {
	t.Helper()
	root = t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc/ssh"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, kind := range types {
		name := filepath.Join(root, "etc/ssh/ssh_host_"+kind+"_key")
		args := []string{"-q", "-t", kind, "-N", "", "-f", name}
		if kind == "rsa" {
			args = append(args, "-b", "1024")
		}
		tool(t, "", "ssh-keygen", args...)
		out, err := exec.Command("ssh-keygen", "-l", "-f", name+".pub").Output()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, strings.Fields(string(out))[1])
	}
	return root, want
}

// blank is a file of zeros, with the partitions of an sfdisk script if there is one.
func blank(t testing.TB, size int64, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	err := os.WriteFile(name, nil, 0o600)
	if err == nil {
		err = os.Truncate(name, size)
	}
	if err != nil {
		t.Fatal(err)
	}
	if script != "" {
		tool(t, script, "sfdisk", "-q", name)
	}
	return name
}

// mkfs makes an ext filesystem of 8 MiB out of a root tree.
func mkfs(t testing.TB, image, kind, root string, off int64) {
	t.Helper()
	tool(t, "", "mke2fs", "-q", "-F", "-t", kind, "-d", root, "-E", fmt.Sprintf("offset=%d", off), image, "8M")
}

func fingerprints(keys []ssh.PublicKey) (all []string) {
	for _, k := range keys {
		all = append(all, ssh.FingerprintSHA256(k))
	}
	return all
}

const (
	gptScript = "label: gpt\nsize=1MiB,type=uefi\nstart=4MiB,type=linux\n"
	mbrScript = "label: dos\nsize=1MiB,type=c\nstart=4MiB,type=83\n"
	boxScript = "label: dos\nsize=1MiB,type=c\nstart=2MiB,type=5\n5: start=4MiB,type=83\n"
)

// The keys are those that ssh-keygen made, wherever the filesystem is and however the image is packed.
func TestHostKeys(t *testing.T) {
	root, want := system(t, "ed25519", "ecdsa", "rsa")
	for name, tt := range map[string]struct {
		script, kind string
		off          int64
	}{
		"gpt": {gptScript, "ext4", 4 * mib}, "mbr": {mbrScript, "ext3", 4 * mib}, "logical": {boxScript, "ext4", 4 * mib}, "bare": {"", "ext2", 0},
	} {
		image := blank(t, 14*mib, tt.script)
		mkfs(t, image, tt.kind, root, tt.off)
		b, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		packed := old(t, image+".zst", packWith(t, packers["zstd"], b))
		for _, from := range []string{old(t, image, b), image, packed, packed, "-"} { // the second time, an index is there
			i := open(t, from, "", bytes.NewReader(b))
			keys, err := i.HostKeys(t.Context())
			if got := fingerprints(keys); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s from %s: %q, %v, want %q", name, from, got, err, want)
			}
		}
	}
	if left, _ := filepath.Glob("/var/tmp/groundhog-image-*"); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// They are read once for all devices.
func TestHostKeysOnce(t *testing.T) {
	root, want := system(t, "ed25519")
	name := blank(t, 9*mib, "")
	mkfs(t, name, "ext2", root, 0)
	i := open(t, name, "", nil)
	for _, dirs := range [][]string{sbinDirs, nil} { // the second time without debugfs
		if dirs == nil {
			t.Setenv("PATH", "")
			defer func(old []string) { sbinDirs = old }(sbinDirs)
			sbinDirs = nil
		}
		if keys, err := i.HostKeys(t.Context()); err != nil || fmt.Sprint(fingerprints(keys)) != fmt.Sprint(want) {
			t.Errorf("in %q: %q, %v, want %q", dirs, fingerprints(keys), err, want)
		}
	}
}

// Two systems in an image, as for updates that go back and forth, have all their keys, and those in common once.
func TestHostKeysOfTwo(t *testing.T) {
	a, one := system(t, "ed25519", "rsa")
	b, two := system(t, "ecdsa")
	tool(t, "", "cp", filepath.Join(a, "etc/ssh/ssh_host_rsa_key.pub"), filepath.Join(b, "etc/ssh"))
	image := blank(t, 24*mib, "label: gpt\nstart=1MiB,size=8MiB\nstart=12MiB,size=8MiB\n")
	mkfs(t, image, "ext4", a, mib)
	mkfs(t, image, "ext4", b, 12*mib)
	keys, err := open(t, image, "", nil).HostKeys(t.Context())
	if got, want := fingerprints(keys), append(one, two...); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// noHostKey wants no key, and a reason.
func noHostKey(t *testing.T, name, image, want string) {
	t.Helper()
	keys, err := open(t, image, "", nil, Force(true)).HostKeys(t.Context())
	if len(keys) != 0 || !errors.Is(err, ErrNoHostKey) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("%s: %d keys, %v, want %q", name, len(keys), err, want)
	}
}

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
		if err := tt.make(filepath.Join(root, "etc/ssh")); err != nil {
			t.Fatal(err)
		}
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
	if err := file(in, "SECRET")(filepath.Join(root, "etc/ssh")); err != nil {
		t.Fatal(err)
	}
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

func file(name, content string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600) }
}

func copied(from, name string) func(string) error {
	return func(dir string) error {
		b, err := os.ReadFile(from)
		return errors.Join(err, os.WriteFile(filepath.Join(dir, name), b, 0o600))
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

func TestHostKeysWithout(t *testing.T) {
	root, want := system(t, "ed25519")
	image := blank(t, 8*mib, "")
	mkfs(t, image, "ext4", root, 0)
	debugfs, cut := judge.Tool(t, "debugfs"), packWith(t, packers["gzip"], disk(3*mib))
	t.Setenv("PATH", t.TempDir())
	keys, err := open(t, image, "", nil).HostKeys(t.Context())
	if got := fingerprints(keys); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s is not found with a user's PATH: %v", debugfs, err)
	}
	defer func(dirs []string) { sbinDirs = dirs }(sbinDirs)
	sbinDirs = nil
	noHostKey(t, "no debugfs", image, "no host key can be read from the image: debugfs is not installed")

	ctx, cancel := context.WithCancel(t.Context())
	i := open(t, image, "", nil)
	cancel()
	if _, err := i.HostKeys(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	// An image that is cut has no keys either, and that is an error of its own.
	if _, err := open(t, "-", "", bytes.NewReader(cut[:len(cut)-3])).HostKeys(t.Context()); err == nil || errors.Is(err, ErrNoHostKey) {
		t.Errorf("cut: %v", err)
	}
}
