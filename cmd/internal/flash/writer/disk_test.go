package writer

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

const diskSize = 4 << 20

// plain is a file of diskSize bytes of noise, and what is in it.
func plain(t *testing.T) (name string, content []byte) {
	t.Helper()
	name, content = filepath.Join(t.TempDir(), "disk"), judge.Noise(1, diskSize)
	judge.WriteFile(t, name, content)
	return name, content
}

// loop is a block device over such a file: the kernel's own, with a page cache.
func loop(t *testing.T) (device, name string, content []byte) {
	t.Helper()
	judge.Root(t, "make a loop device")
	losetup := judge.Tool(t, "losetup")
	name, content = plain(t)
	out := judge.Run(t, exec.Command(losetup, "--find", "--show", name))
	device = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command(losetup, "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v: %s", err, out)
		}
	})
	return device, name, content
}

func open(t *testing.T, name string, write bool) *Disk {
	t.Helper()
	d := judge.Value(Open(name, write))(t)
	t.Cleanup(func() { d.Close() })
	return d
}

// exercise writes pieces of every kind of length, and reads them back; the rest of the
// disk stays as it was.
func exercise(t *testing.T, d *Disk, content []byte) {
	t.Helper()
	if d.Size() != diskSize {
		t.Fatalf("size %d, want %d", d.Size(), diskSize)
	}
	fresh := bytes.Repeat([]byte("groundhog"), diskSize/9+1)
	for i, n := range []int{1, 511, 512, 513, 4096, 70001, 1 << 20, 1<<20 + 1} {
		off := int64(i) * (256 << 10)
		if n >= 1<<20 {
			off = diskSize - (1<<20 + 4096)
		}
		for _, p := range [][]byte{fresh[:n], fresh[1 : n+1]} { // aligned or not
			if w, err := d.WriteAt(p, off); w != n || err != nil {
				t.Fatalf("writing %d bytes at %d: %d, %v", n, off, w, err)
			}
			copy(content[off:], p)
			judge.Must(t, d.Flush())
			if same, err := holdsAt(d, p, off); !same || err != nil {
				t.Fatalf("%d bytes at %d: read back %v, %v", n, off, same, err)
			}
		}
	}
	if same, err := holdsAt(d, content, 0); !same || err != nil {
		t.Errorf("the whole disk: %v, %v", same, err)
	}
}

// holdsAt reports whether the medium holds p at off.
func holdsAt(d *Disk, p []byte, off int64) (bool, error) {
	b := alignedBuffer(len(p))
	_, err := d.ReadAt(b, off)
	return bytes.Equal(b, p), err
}

func TestFile(t *testing.T) {
	name, content := plain(t)
	exercise(t, open(t, name, true), content)
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file is not what was written: %v", err)
	}
}

func TestBlockDevice(t *testing.T) {
	device, name, content := loop(t)
	exercise(t, open(t, device, true), content)
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the medium is not what was written: %v", err)
	}
}

// A page cache that holds what once was on the medium deceives others, not us.
func TestReadsPastThePageCache(t *testing.T) {
	device, name, content := loop(t)
	cached := judge.Value(os.Open(device))(t)
	defer cached.Close()
	seen := make([]byte, 4096)
	judge.Value(cached.ReadAt(seen, 0))(t)
	medium := judge.Value(os.OpenFile(name, os.O_WRONLY, 0))(t)
	judge.Value(medium.WriteAt(make([]byte, 4096), 0))(t)
	judge.Must(t, errors.Join(medium.Sync(), medium.Close()))
	if _, err := cached.ReadAt(seen, 0); err != nil || !bytes.Equal(seen, content[:4096]) {
		t.Fatalf("the page cache knows of the change, the test tests nothing: %v", err)
	}
	if same, err := holdsAt(open(t, device, false), content[:4096], 0); same || err != nil {
		t.Errorf("what was once there passes for what is there: %v, %v", same, err)
	}
}

func TestHeldDevice(t *testing.T) {
	device, _, _ := loop(t)
	open(t, device, true)
	if _, err := Open(device, true); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a second writer: %v", err)
	}
	open(t, device, false) // a comparison may
}

// Nothing outside the disk is written: a plain file must not grow.
func TestOutside(t *testing.T) {
	name, _ := plain(t)
	d := open(t, name, true)
	for _, at := range []struct {
		n   int
		off int64
	}{{1, diskSize}, {2, diskSize - 1}, {1, -1}, {diskSize + 1, 0}, {1, 1<<63 - 1}} {
		if _, err := d.WriteAt(make([]byte, at.n), at.off); err == nil {
			t.Errorf("%d bytes at %d were written", at.n, at.off)
		}
		if _, err := d.ReadAt(make([]byte, at.n), at.off); err == nil {
			t.Errorf("%d bytes at %d were read", at.n, at.off)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Size() != diskSize {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	if _, err := Open(t.TempDir(), true); err == nil {
		t.Error("a directory was opened as a disk")
	}
}
