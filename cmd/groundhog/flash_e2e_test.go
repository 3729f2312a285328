//go:build e2e

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/device"
)

// imageOf is a device's disk as an image, the file of its host key, and the identity that it lets in.
func imageOf(t *testing.T, s device.Spec) (img, key, identity string) {
	t.Helper()
	base, err := device.Build(t.Context(), s, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	img, key = filepath.Join(dir, "disk.img"), filepath.Join(dir, "host.pub")
	if err := device.RawDisk(base.Disk).Export(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	for _, k := range base.HostKeys {
		if strings.HasPrefix(k, ssh.KeyAlgoED25519) {
			if err := os.WriteFile(key, []byte(k+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return img, key, base.Key
		}
	}
	t.Fatal("no ed25519 host key")
	return
}

// equals compares the device's disk, read from outside, with an image; a GPT's header is another where the
// disk is larger.
func (b *bench) equals(img string) {
	b.t.Helper()
	raw := filepath.Join(b.t.TempDir(), "raw")
	if err := b.Export(b.t.Context(), raw); err != nil {
		b.t.Fatal(err)
	}
	got, err := os.Open(raw)
	if err != nil {
		b.t.Fatal(err)
	}
	defer got.Close()
	want, err := os.Open(img)
	if err != nil {
		b.t.Fatal(err)
	}
	defer want.Close()
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); ; at += 1 << 20 {
		n, err := io.ReadFull(want, x)
		if err == io.EOF {
			return
		}
		if _, err := io.ReadFull(got, y[:n]); err != nil || !bytes.Equal(x[:n], y[:n]) {
			b.t.Errorf("the disk differs from the image in the mebibyte at %d (%v)", at, err)
			return
		}
	}
}

// From bookworm to trixie: checked, flashed, equal from outside, nothing to send the second time, and it comes up.
func TestFlashCycle(t *testing.T) {
	t.Parallel()
	b, _ := startBench(t, device.Spec{Suite: "bookworm", Arch: "amd64"}, device.Options{})
	img, key, identity := imageOf(t, device.Spec{Suite: "trixie", Arch: "amd64"})
	if code, _ := b.verb("flash", b.target(), img); code != exitRefused {
		t.Errorf("flashing a running system: %d", code)
	}
	if code, _ := b.verb("push", "--reboot", b.target(), b.archive); code != 0 {
		t.Fatal("push")
	}
	flash := func(args ...string) (int, string) {
		return online(t, append([]string{"flash", "--ssh-config", "none", "-v", "--identity", b.Base.Key}, append(args, b.target(), img)...)...)
	}
	if code, out := flash("--check"); code != 1 || !strings.Contains(out, "nothing was written") && !strings.Contains(out, "differ") {
		t.Errorf("another image: %d", code)
	}
	if code, out := flash("--target", "serial:nobody"); code != exitRefused || !strings.Contains(out, "serial:GROUNDHOG-0001") {
		t.Errorf("no such disk: %d", code)
	}
	if code, _ := flash(); code != 0 {
		t.Fatal("flash")
	}
	b.equals(img)
	if code, _ := flash("--check"); code != 0 {
		t.Error("not equal")
	}
	code, out := b.verb("reflash", "--identity", identity, "--expect-host-key", key, "--ready", "grep trixie /etc/os-release", "--reboot-timeout", "2m", b.target(), b.archive, img)
	if code != 0 || !strings.Contains(out, "waits there already") || !strings.Contains(out, "the new system is up") {
		t.Fatalf("reflash: %d", code)
	}
	if !strings.Contains(out, "MB sent for 0 chunks") {
		t.Error("chunks were sent though nothing had changed")
	}
}
