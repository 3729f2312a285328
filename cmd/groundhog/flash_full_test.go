//go:build full

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/reflash"
	"groundhog/fixtures"
	"groundhog/fixtures/device"
	"groundhog/fixtures/judge"
)

// equals compares the device's disk, read from outside, with an image; a GPT's header is another where the
// disk is larger.
func (b *bench) equals(img string) {
	b.t.Helper()
	raw := filepath.Join(b.t.TempDir(), "raw")
	judge.Must(b.t, b.Export(b.t.Context(), raw))
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

// changed is how many mebibytes of two images differ, and their size in the second one once compressed.
func changed(t *testing.T, a, b string) (chunks int, packed int64) {
	t.Helper()
	encoder := judge.Value(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest)))(t)
	defer encoder.Close()
	old, fresh := string(judge.ReadFile(t, a)), string(judge.ReadFile(t, b))
	for at := 0; at < len(fresh); at += 1 << 20 {
		end := min(at+1<<20, len(fresh))
		if old[at:end] != fresh[at:end] {
			chunks++
			packed += int64(len(encoder.EncodeAll([]byte(fresh[at:end]), nil)))
		}
	}
	return chunks, packed
}

func exists(name string) error { _, err := os.Stat(name); return err }

// verdictOf is the last line of --json.
func verdictOf(t *testing.T, out string) (v struct{ Data reflash.Flashed }) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	judge.Must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &v))
	return v
}

// From bookworm to trixie: checked, flashed, equal from outside, nothing to send the second time, of an upgraded
// package hardly more than its chunks, and it comes up.
func TestFlashCycle(t *testing.T) {
	t.Parallel()
	b, ctx := startBench(t, device.Spec{Suite: "bookworm", Arch: "amd64"}, device.Options{})
	img, key, identity := imageOf(t, device.Spec{Suite: "trixie", Arch: "amd64"})
	if code, _ := b.verb("flash", b.target(), img); code != exitNo {
		t.Errorf("flashing a running system: %d", code)
	}
	if code, _ := b.verb("push", "--reboot", b.target(), b.archive); code != 0 {
		t.Fatal("push")
	}
	flash := func(img string, args ...string) (int, string) {
		return online(t, append([]string{"flash", "--ssh-config", "none", "-v", "--identity", b.Base.Key}, append(args, b.target(), img)...)...)
	}
	if code, out := flash(img, "--check"); code != 1 || !strings.Contains(out, "nothing was written") && !strings.Contains(out, "differ") {
		t.Errorf("another image: %d", code)
	}
	if code, _ := flash(img); code != 0 {
		t.Fatal("flash")
	}
	b.equals(img)
	if code, _ := flash(img, "--check"); code != 0 {
		t.Error("not equal")
	}
	next := upgraded(t, img)
	chunks, packed := changed(t, img, next)
	code, out := flash(next, "--json")
	v := verdictOf(t, out)
	if code != 0 || v.Data.Written != int64(chunks) || v.Data.Sent > packed*12/10 {
		t.Errorf("upgraded: exit %d, %d chunks and %d bytes sent; %d chunks differ, %d bytes compressed", code, v.Data.Written, v.Data.Sent, chunks, packed)
	}
	b.equals(next)
	// It does not come back until its power was cycled, so to speak: until then the cable is out.
	cycled := filepath.Join(t.TempDir(), "cycled")
	rebooting := b.Boots() + 1
	go func() {
		if b.WaitBoots(ctx, rebooting) == nil {
			b.Link().Cut()
			defer b.Link().Heal()
			for exists(cycled+"-root@"+b.Addr()) != nil {
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	code, out = b.verb("reflash", "--identity", identity, "--expect-host-key", key, "--ready", "grep trixie /etc/os-release", "--reboot-timeout", "90s",
		"--power-cycle", "touch "+cycled+"-$GROUNDHOG_HOST", b.target(), b.archive, next)
	if code != 0 || !strings.Contains(out, "waits there already") || !strings.Contains(out, "it does not come back: running touch") || !strings.Contains(out, "the new system is up") {
		t.Fatalf("reflash: %d", code)
	}
	if !strings.Contains(out, " sent for 0 chunks") {
		t.Error("chunks were sent though nothing had changed")
	}
}

// One command from a running system to another one on a larger disk: its host key is read from the image, the last
// partition and its filesystem grow, and partitioning tools have nothing to complain of.
func TestReflashGrow(t *testing.T) {
	t.Parallel()
	b, ctx := startBench(t, device.Spec{Suite: "bullseye", Arch: "amd64", SizeMB: 1280}, device.Options{}, "--tool", "e2fsck", "--tool", "resize2fs")
	img, _, identity := imageOf(t, device.Spec{Suite: "bookworm", Arch: "amd64"})
	img = packed(t, img, "zstd", "-q", "-1", "-T2")
	code, out := b.verb("reflash", "--identity", identity, "--grow", b.target(), b.archive, img)
	if code != 0 || !strings.Contains(out, "the new system is up") || !strings.Contains(out, "/dev/vda1 enlarged") {
		t.Fatalf("reflash: %d", code)
	}
	base := judge.Value(device.Build(ctx, device.Spec{Suite: "bookworm", Arch: "amd64"}, io.Discard))(t)
	l := b.Login("root")
	l.Key, l.KnownHosts = base.Key, filepath.Join(t.TempDir(), "known_hosts")
	judge.WriteFile(t, l.KnownHosts, "* "+strings.Join(base.HostKeys, "\n* ")+"\n")
	said, err := fixtures.SSH(ctx, l, nil, ". /etc/os-release; echo $VERSION_CODENAME; df --output=size -B1048576 / | tail -n 1; sfdisk --verify /dev/vda 2>&1")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(said))
	if len(words) < 3 || words[0] != "bookworm" || words[1] < "1100" || len(words[1]) != 4 || !strings.Contains(string(said), "No errors detected") {
		t.Errorf("the new system says %q", said)
	}
}

// arm64, and a system that is another one by a file.
func TestReflashArm64(t *testing.T) {
	t.Parallel()
	s := device.Spec{Suite: "bookworm", Arch: "arm64"}
	b, _ := startBench(t, s, device.Options{})
	img, _, _ := imageOf(t, s)
	img = upgraded(t, img)
	code, out := b.verb("reflash", "--ready", "wc -c </usr/sbin/sfdisk | grep -x 176000", "--reboot-timeout", "10m", b.target(), b.archive, packed(t, img, "gzip", "-1"))
	if code != 0 || !strings.Contains(out, "the new system is up") {
		t.Fatalf("reflash: %d", code)
	}
}
