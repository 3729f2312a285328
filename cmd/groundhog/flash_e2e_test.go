//go:build e2e

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/device"
	"groundhog/fixtures/judge"
)

// imageOf is a device's disk as an image, the file of its host key, and the identity that it lets in.
func imageOf(t *testing.T, s device.Spec) (img, key, identity string) {
	t.Helper()
	base := judge.Value(device.Build(t.Context(), s, io.Discard))(t)
	dir := t.TempDir()
	img, key = filepath.Join(dir, "disk.img"), filepath.Join(dir, "host.pub")
	judge.Must(t, device.RawDisk(base.Disk).Export(t.Context(), img))
	for _, k := range base.HostKeys {
		if strings.HasPrefix(k, ssh.KeyAlgoED25519) {
			judge.WriteFile(t, key, k+"\n")
			return img, key, base.Key
		}
	}
	t.Fatal("no ed25519 host key")
	return
}

// upgraded is a copy of an image of a bookworm or later system in which the programs of package fdisk are other ones.
func upgraded(t *testing.T, img string) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "upgraded.img")
	command(t, "cp", "--sparse=always", img, name)
	var script strings.Builder
	for i, program := range []string{"fdisk", "sfdisk", "cfdisk"} {
		b := make([]byte, 120_000)
		rand.NewChaCha8([32]byte{byte(i)}).Read(b)
		b = append(bytes.Repeat([]byte("a program's text and tables "), 2000), b...)
		judge.WriteFile(t, filepath.Join(dir, program), string(b))
		fmt.Fprintf(&script, "rm /usr/sbin/%[1]s\nwrite %[2]s/%[1]s /usr/sbin/%[1]s\n", program, dir)
	}
	judge.WriteFile(t, filepath.Join(dir, "script"), script.String())
	command(t, "debugfs", "-w", "-f", filepath.Join(dir, "script"), name+"?offset=1048576")
	return name
}

// One command from a running system to the next build of it: another package's programs, found in the new system.
func TestReflash(t *testing.T) {
	t.Parallel()
	s := device.Spec{Suite: "bookworm", Arch: "amd64"}
	b, _ := startBench(t, s, device.Options{Saved: true})
	img, _, _ := imageOf(t, s)
	img = upgraded(t, img)
	code, out := b.verb("reflash", "--ready", "wc -c </usr/sbin/sfdisk | grep -x 176000", "--reboot-timeout", "10m", b.target(), b.archive, packed(t, img, "zstd", "-q", "-1"))
	if code != 0 || !strings.Contains(out, "verified: ") || !strings.Contains(out, "the new system is up") {
		t.Fatalf("reflash: %d", code)
	}
}
