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
	judge.Run(t, c)
}

// system is a root tree with host keys of the given types, as ssh-keygen makes them, and their fingerprints. An rsa one is small:
// half of these tests' time would be large primes.
func system(t testing.TB, types ...string) (root string, want []string) {
	t.Helper()
	root = t.TempDir()
	judge.Must(t, os.MkdirAll(filepath.Join(root, "etc/ssh"), 0o755))
	for _, kind := range types {
		name := filepath.Join(root, "etc/ssh/ssh_host_"+kind+"_key")
		args := []string{"-q", "-t", kind, "-N", "", "-f", name}
		if kind == "rsa" {
			args = append(args, "-b", "1024")
		}
		tool(t, "", "ssh-keygen", args...)
		out := judge.Output(t, exec.Command("ssh-keygen", "-l", "-f", name+".pub"))
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
		b := judge.ReadFile(t, image)
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

func file(name, content string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600) }
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

// An image whose file is made another one while it is decoded once more for its host keys has none: those of the other one are not believed.
func TestHostKeysOfAnother(t *testing.T) {
	const off = 70 * mib // behind the samples that are kept anyway
	var packed [2][]byte
	for n := range packed {
		root, _ := system(t, "ed25519")
		name := blank(t, off+8*mib, fmt.Sprintf("start=%d,type=83", off/512))
		mkfs(t, name, "ext4", root, off)
		b := judge.ReadFile(t, name)
		copy(b[2*mib:], judge.Noise(uint64(n), (1-n)*mib)) // the second file is shorter, and so decoded to its end
		packed[n] = packWith(t, []string{"zstd", "-1"}, b)
	}
	for _, changes := range []bool{false, true} {
		name := old(t, filepath.Join(t.TempDir(), "image.zst"), packed[0])
		i := open(t, name, "", nil)
		again := i.fill
		i.fill = func() error {
			if changes {
				judge.Must(t, os.WriteFile(name, packed[1], 0o644))
			}
			return again()
		}
		if keys, err := i.HostKeys(t.Context()); changes && !errors.Is(err, ErrChanged) || !changes && (err != nil || len(keys) != 1) {
			t.Errorf("changes: %v: %d keys, %v", changes, len(keys), err)
		}
	}
}
