//go:build e2e

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
	"groundhog/fixtures/waiting"
	"groundhog/fixtures/waiting/faulty"
)

// spare is a device that waits in its initramfs, with disks that may be spoiled. It has no kernel of its own.
type spare struct {
	*waiting.Device
	t       *testing.T
	ctx     context.Context
	archive string
	login   fixtures.Login
}

// startSpare patches bookworm's archive and has a device wait in it.
func startSpare(t *testing.T, o waiting.Options, flags ...string) *spare {
	t.Helper()
	waiting.Need(t)
	tgt := target(t, "bookworm", "amd64")
	dir := t.TempDir()
	archive, key := filepath.Join(dir, "reflash.img"), filepath.Join(dir, "key")
	makeKey(t, key)
	code, out := online(t, append([]string{"patch", tgt.Plain, "--root", tgt.Root,
		"--authorized-keys", key + ".pub", "--host-key", "new", "-o", archive}, flags...)...)
	if code != 0 {
		t.Fatal(out)
	}
	return spareOf(t, archive, key, o)
}

// spareOf has a device wait in an archive that lets a key in.
func spareOf(t *testing.T, archive, key string, o waiting.Options) *spare {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	s := &spare{waiting.Start(t, archive, o), t, ctx, archive, fixtures.Login{Key: key, KnownHosts: archive + ".known_hosts"}}
	s.login.Port = s.Port()
	judge.Must(t, s.WaitLogin(ctx, s.login))
	return s
}

func (s *spare) target() string { return "root@" + s.Addr() }

// says runs a command in the initramfs.
func (s *spare) says(command string) string {
	s.t.Helper()
	out, err := fixtures.SSH(s.ctx, s.login, nil, command)
	if err != nil {
		s.t.Errorf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

// args is the command line of a flash to the disk with a serial number.
func (s *spare) args(serial, img string, more ...string) []string {
	all := append([]string{"flash", "--ssh-config", "none", "-v", "--identity", s.login.Key, "--known-hosts", s.login.KnownHosts}, more...)
	if serial != "" {
		all = append(all, "--target", "serial:"+serial)
	}
	return append(all, s.target(), img)
}

func (s *spare) flash(serial, img string, more ...string) (int, string) {
	s.t.Helper()
	return online(s.t, s.args(serial, img, more...)...)
}

// noiseImage writes an image of so many MiB, a half of which does not compress, with zeros in the middle, behind a boot sector.
func noiseImage(t *testing.T, seed byte, mib int) string {
	t.Helper()
	b := make([]byte, mib<<20)
	rng := rand.NewChaCha8([32]byte{seed})
	rng.Read(b)
	clear(b[446:510]) // of the table
	b[510], b[511] = 0x55, 0xaa
	clear(b[len(b)/2 : len(b)/2+2<<20])
	copy(b[len(b)-4<<20:], bytes.Repeat([]byte(fmt.Sprintf("groundhog %d ", seed)), 1<<20/3))
	name := filepath.Join(t.TempDir(), fmt.Sprintf("noise%d.img", seed))
	judge.WriteFile(t, name, b)
	return name
}

// packed compresses a file by the format's own tool.
func packed(t *testing.T, name string, tool ...string) string {
	t.Helper()
	out := name + "." + tool[0]
	f := judge.Value(os.Create(out))(t)
	defer f.Close()
	cmd := exec.Command(tool[0], append(tool[1:], "-c", name)...)
	cmd.Stdout, cmd.Stderr = f, t.Output()
	judge.Must(t, cmd.Run())
	return out
}

// holds reports whether the first disk begins with an image, read from outside.
func (s *spare) holds(img string) bool {
	s.t.Helper()
	want := judge.ReadFile(s.t, img)
	f, err := os.Open(s.Disk(0))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(f, got); err != nil {
		s.t.Fatal(err)
	}
	return bytes.Equal(got, want)
}

// verified holds a verdict against the disk: success is claimed exactly where the disk holds the image.
func (s *spare) verified(what string, code int, out, img string) {
	s.t.Helper()
	if code != 0 || !strings.Contains(out, "verified: ") {
		s.t.Errorf("%s: exit %d, want a verified disk", what, code)
	}
	if !s.holds(img) {
		s.t.Errorf("%s: exit %d, and the disk does not hold the image", what, code)
	}
}

// failed is a flash that must not succeed: it says so, with the state that the device is in.
func (s *spare) failed(what string, code int, out string, want int, texts ...string) {
	s.t.Helper()
	if code != want || strings.Contains(out, "verified: ") {
		s.t.Errorf("%s: exit %d, want %d and no success", what, code, want)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("%s: it does not say %q", what, text)
		}
	}
}

// Serial numbers of the disks that the tests of faults have.
const (
	goodDisk    = "GH-GOOD"
	errorDisk   = "GH-ERROR"
	mountedDisk = "GH-MOUNTED"
	lyingDisk   = "GH-LIES"
)

// What can go wrong with an image, a disk and a link; every run ends verified or says what state the device is in. The
// wait of this device is shorter than its first flash, which must not be cut off.
func TestFlashFaults(t *testing.T) {
	t.Parallel()
	ext4 := filepath.Join(t.TempDir(), "mounted.raw")
	command(t, "truncate", "-s", "64M", ext4)
	command(t, "mke2fs", "-q", "-F", "-t", "ext4", ext4)
	images := t.TempDir()
	web := httptest.NewServer(http.FileServer(http.Dir(images)))
	t.Cleanup(web.Close)
	s := startSpare(t, waiting.Options{
		Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 64},
			{Serial: errorDisk, SizeMB: 64, Rules: &faulty.Rules{Faults: []faulty.Fault{{Kind: faulty.Error, From: 9 << 20, To: 9<<20 + 512}}}},
			{Serial: mountedDisk, Raw: ext4},
			{Serial: lyingDisk, SizeMB: 64, Rules: &faulty.Rules{Faults: []faulty.Fault{{Kind: faulty.Drop, To: 64 << 20}}}}},
		Serve: map[string]int{"10.0.2.100:80": web.Listener.Addr().(*net.TCPAddr).Port},
	}, "--wait", "20s")
	small, other, large := noiseImage(t, 1, 12), noiseImage(t, 2, 12), noiseImage(t, 3, 65)
	s.pastTheWait(other)
	s.beforehand(small, large)
	s.brokenImages(small)
	s.curl(images, small, other)
	s.corrupt(other)
	s.badDisks(small)
	s.halfWritten(large)
}

// pastTheWait flashes slowly, well beyond the end of the wait.
func (s *spare) pastTheWait(img string) {
	began := time.Now()
	s.Link().Shape(link.Shape{Rate: 300 << 10})
	defer s.Link().Shape(link.Shape{})
	code, out := s.flash(goodDisk, img)
	s.verified("past the wait", code, out, img)
	s.t.Logf("the wait is 20s, the flash took %s", time.Since(began))
	if how := s.Ended(); how != "" || s.says("cat /run/groundhog/build") == "" {
		s.t.Errorf("the device is gone: %s", how)
	}
}

// beforehand is what is known before anything is written, so nothing is.
func (s *spare) beforehand(small, large string) {
	s.says("mkdir -p /mnt && mount -t ext4 -o ro /dev/vdc /mnt")
	key := filepath.Join(s.t.TempDir(), "other")
	makeKey(s.t, key)
	known := filepath.Join(s.t.TempDir(), "known_hosts")
	judge.WriteFile(s.t, known, "* "+string(judge.ReadFile(s.t, key+".pub")))
	before := sha256Of(s.t, s.Disk(0))
	for what, c := range map[string]struct {
		serial, img string
		more        []string
		text        string
	}{
		"two candidates":     {"", small, nil, "more than one disk"},
		"no such disk":       {"GH-NOBODY", small, nil, "no such disk"},
		"larger than disk":   {goodDisk, large, nil, "larger than the disk"},
		"wrong checksum":     {goodDisk, small, []string{"--sha256", strings.Repeat("1", 64)}, "checksum"},
		"wrong host key":     {goodDisk, small, []string{"--host-key", "SHA256:R2ygueUCF4nXxXPNe9x8SIH+n37fofq81/5eBIuR6kY"}, "host key refused"},
		"mounted":            {mountedDisk, small, nil, "is mounted on /mnt"},
		"grow without tools": {goodDisk, small, []string{"--grow"}, "groundhog patch --tool"},
		"curl, mounted":      {mountedDisk, small, []string{"--via", "curl"}, "is mounted on /mnt"},
		"curl, larger":       {goodDisk, large, []string{"--via", "curl"}, "larger than the disk"},
	} {
		code, out := s.flash(c.serial, c.img, c.more...)
		s.failed(what, code, out, exitNo, c.text)
	}
	code, out := s.flash(goodDisk, small+".nowhere")
	s.failed("no image", code, out, exitTrouble, "no such file")
	if after := sha256Of(s.t, s.Disk(0)); after != before {
		s.t.Error("something was written")
	}
	s.says("umount /mnt")
}

// brokenImages end before their end, or are another than they should be.
func (s *spare) brokenImages(img string) {
	for _, tool := range [][]string{{"gzip"}, {"xz", "-0"}, {"zstd", "-q"}} {
		whole := packed(s.t, img, tool...)
		cut := whole + ".cut"
		b := []byte(string(judge.ReadFile(s.t, whole)))
		judge.WriteFile(s.t, cut, string(b[:len(b)*2/3]))
		code, out := s.flash(goodDisk, cut)
		if code == 0 || strings.Contains(out, "verified: ") {
			s.t.Errorf("%s: exit %d", cut, code)
		}
		if s.holds(img) {
			s.t.Errorf("%s: the disk holds an image that never came", cut)
		}
		if refused := strings.Contains(out, "nothing was changed") || strings.Contains(out, "opening image"); !refused || code != exitNo {
			s.t.Errorf("%s: exit %d, want a refusal before anything was written", cut, code)
		}
		if strings.Contains(out, "trying again") {
			s.t.Errorf("%s: another connection is tried for an image that was cut", cut)
		}
		code, out = s.flash(goodDisk, whole)
		s.verified(whole, code, out, img)
		s.says("dd if=/dev/zero of=/dev/vda bs=1M count=12 oflag=direct 2>/dev/null") // so that the next one has something to write
	}
}

// curl is the way without the writer: from here, from a server, and where something ends too early.
func (s *spare) curl(served, img, other string) {
	code, out := s.flash(goodDisk, packed(s.t, other, "xz", "-0"), "--via", "curl")
	s.verified("curl, xz through the connection", code, out, other)
	code, out = s.flash(goodDisk, packed(s.t, img, "zstd", "-q"), "--via", "curl")
	s.verified("curl, zstd that the device cannot decode", code, out, img)
	gz := packed(s.t, other, "gzip")
	b := string(judge.ReadFile(s.t, gz))
	judge.WriteFile(s.t, filepath.Join(served, "image.gz"), b)
	judge.WriteFile(s.t, filepath.Join(served, "cut.gz"), b[:len(b)/2])
	const there = "http://10.0.2.100/"
	code, out = s.flash(goodDisk, gz, "--via", "curl", "--url", there+"image.gz")
	s.verified("curl from a server", code, out, other)
	code, out = s.flash(goodDisk, gz, "--via", "curl", "--url", there+"cut.gz")
	s.failed("curl, cut", code, out, exitTrouble, "gzip ended with", "waits in its initramfs")
	code, out = s.flash(goodDisk, gz, "--via", "curl", "--url", there+"nowhere.gz")
	s.failed("curl, 404", code, out, exitTrouble, "curl ended with 22")
	if got := s.says("ls /run/groundhog/writing"); got == "" {
		s.t.Error("after a failure nothing keeps the device from booting")
	}
	code, out = s.flash(goodDisk, img)
	s.verified("the writer after curl", code, out, img)
}

// corrupt flips a bit on the line: the connection breaks, and what is verified is right.
func (s *spare) corrupt(img string) {
	s.Link().Flip(3 << 20)
	code, out := s.flash(goodDisk, img)
	s.verified("a flipped bit", code, out, img)
	if !strings.Contains(out, "trying again") {
		s.t.Error("the flipped bit went unnoticed")
	}
}

// halfWritten is refused something while an earlier flash has left its disk half written: that is said, too.
func (s *spare) halfWritten(large string) {
	code, out := online(s.t, "reflash", "--ssh-config", "none", "--identity", s.login.Key, "--target", "serial:"+errorDisk, s.target(), s.archive, large)
	s.failed("reflash of what is half written", code, out, exitTrouble, "larger than the disk", "its disk is neither the old nor the new one")
}

// badDisks fail, or do not keep what they took.
func (s *spare) badDisks(img string) {
	code, out := s.flash(errorDisk, img)
	s.failed("an I/O error", code, out, exitTrouble, "input/output error", "waits in its initramfs")
	code, out = s.flash(lyingDisk, img)
	s.failed("a disk that lies", code, out, exitTrouble, "does not hold what was written", "waits in its initramfs")
	if got := s.says("ls /run/groundhog/writing"); got == "" {
		s.t.Error("after a failure nothing keeps the device from booting")
	}
}
