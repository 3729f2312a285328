//go:build full

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"groundhog/fixtures/device"
)

// cuts is how many moments of a push the power is cut at.
const cuts = 20

// shot is the disk as a power cut at that moment would leave it.
type shot struct {
	at   time.Duration // since the push began
	disk *device.Disk
}

// shoot takes snapshots of a device until done is closed and five more behind it.
func shoot(ctx context.Context, b *bench, done <-chan struct{}, every time.Duration) []shot {
	b.t.Helper()
	dir := b.t.TempDir()
	began := time.Now()
	var all []shot
	for after := 0; after < 5; {
		k, err := b.Snapshot(ctx, filepath.Join(dir, fmt.Sprintf("%d.qcow2", len(all))))
		if err != nil {
			b.t.Error(err)
			return all
		}
		all = append(all, shot{time.Since(began), k})
		if len(all)%256 == 0 { // a push on a loaded machine takes minutes, and a shot up to 100 MB
			every *= 2
		}
		select {
		case <-done:
			after++
		default:
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			b.t.Error(ctx.Err())
			return all
		}
	}
	return all
}

// loads is the hash of the initramfs that the boot loader would load from a disk.
func loads(t *testing.T, ctx context.Context, k *device.Disk, replay bool) string {
	t.Helper()
	files, err := k.Load(ctx, replay)
	if err != nil {
		t.Errorf("replay %v: the boot loader finds nothing: %v", replay, err)
		return ""
	}
	sum := sha256.Sum256(files.Initrd)
	return hex.EncodeToString(sum[:])
}

// turn is the first of the shots that holds the new initramfs. It is found by halving: a push goes one way only.
func turn(t *testing.T, ctx context.Context, all []shot, replay bool, old, fresh string) int {
	low, high := 0, len(all)
	for low < high {
		mid := (low + high) / 2
		switch got := loads(t, ctx, all[mid].disk, replay); got {
		case old:
			low = mid + 1
		case fresh:
			high = mid
		default:
			t.Fatalf("cut after %s, replay %v: the boot loader finds %s, neither the old nor the new initramfs", all[mid].at, replay, got)
		}
	}
	return low
}

// The power is cut at moments spread over a push, most of them around the rename.
func TestPushPowerCuts(t *testing.T) {
	t.Parallel()
	boot, firmware := device.Spec{Suite: "bookworm", Arch: "amd64"}, device.Spec{Suite: "bookworm", Arch: "amd64", Layout: device.Firmware}
	for name, c := range map[string]struct {
		spec    device.Spec
		prepare string
	}{nameOf(boot): {boot, "true"}, nameOf(firmware): {firmware, "true"}, "auto_initramfs": {firmware, leaveToFirmware}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			powerCuts(t, c.spec, c.prepare)
		})
	}
}

// leaveToFirmware has config.txt be as Raspberry Pi OS has it.
const leaveToFirmware = `set -e
cd /boot/firmware
cp /boot/vmlinuz-$(uname -r) kernel8.img
cp /boot/initrd.img-$(uname -r) initramfs8
rm vmlinuz-* initrd.img-*
sed -i -e 's/^initramfs .*/auto_initramfs=1/' -e '/^kernel=/d' config.txt
grep -qx auto_initramfs=1 config.txt
sync`

func powerCuts(t *testing.T, s device.Spec, prepare string) {
	b, ctx := startBench(t, s, device.Options{}, "--wait", "5s")
	b.says(ctx, prepare)
	old, fresh := b.onDisk(ctx), sha256Of(t, b.archive)
	done := make(chan struct{})
	result := make(chan int, 1)
	go func() {
		defer close(done)
		code, _ := b.verb("push", b.target(), b.archive)
		result <- code
	}()
	all := shoot(ctx, b, done, 40*time.Millisecond)
	if code := <-result; code != 0 {
		t.Fatalf("push: %d", code)
	}
	b.PowerOff()
	if len(all) < 2*cuts {
		t.Fatalf("only %d snapshots", len(all))
	}
	var first [2]int
	judged := map[int]bool{}
	for i, replay := range []bool{false, true} {
		first[i] = turn(t, ctx, all, replay, old, fresh)
		if first[i] == 0 || first[i] == len(all) {
			t.Fatalf("replay %v: the new initramfs is first seen in shot %d of %d", replay, first[i], len(all))
		}
		for n := max(0, first[i]-3); n < min(len(all), first[i]+3); n++ {
			judged[n] = true
		}
	}
	for i := 0; len(judged) < cuts; i++ {
		judged[(i*7919)%len(all)] = true
	}
	for n := range judged {
		for i, replay := range []bool{false, true} {
			want := old
			if n >= first[i] {
				want = fresh
			}
			if got := loads(t, ctx, all[n].disk, replay); got != want {
				t.Errorf("cut after %s, replay %v: initramfs %s, want %s", all[n].at, replay, got, want)
			}
		}
	}
	t.Logf("%d shots in %s, %d judged; the new initramfs is there from %s on without a replay, %s with one",
		len(all), all[len(all)-1].at.Round(time.Millisecond), len(judged), all[first[0]].at, all[first[1]].at)
	for name, n := range map[string]int{"before": 1, "turn": first[1], "after": len(all) - 1} {
		t.Run("boot "+name, func(t *testing.T) {
			d := device.Start(t, s, device.Options{From: all[n].disk})
			if err := d.WaitSystem(ctx); err != nil {
				t.Errorf("cut after %s: %v", all[n].at, err)
			}
		})
	}
}
