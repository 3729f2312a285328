package reflash

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/flash/image"
	"groundhog/fixtures/bootable"
	"groundhog/fixtures/judge"
)

// goodSystem is an image with a system, made once: many tests have a device each.
func goodSystem(t *testing.T) []byte {
	t.Helper()
	system.once.Do(func() {
		system.image = bootable.Image(t, bootable.Entry, string(bootable.Kernel("6.1.0-57-amd64 (x@y) #1 SMP")))
	})
	if system.image == nil {
		judge.Missing(t, "an image with a system, as mke2fs makes it")
	}
	return system.image
}

var system struct {
	once  sync.Once
	image []byte

	open   sync.Once
	path   string
	opened *image.Image
}

// kexecBench is a bench whose image has a system. It is open once, as for many devices at once: what it would start is read once.
func kexecBench(t *testing.T) *bench {
	t.Helper()
	content := goodSystem(t)
	system.open.Do(func() {
		path := filepath.Join(os.Getenv("HOME"), "system.img")
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600))
		if err == nil {
			system.opened, err = image.Open(context.Background(), path, "", nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		system.path = path
	})
	if system.opened == nil {
		t.Fatal("the image with a system could not be opened")
	}
	return benchWith(t, system.path, content, system.opened)
}

const bootKexec = "reflash --boot kexec"

func booted(t *testing.T, b *bench) Booted {
	t.Helper()
	_, last := b.told.verdicts()
	data := last.Data
	if data == nil || data.Boot == nil {
		t.Fatalf("no word of how it was booted: %+v", last)
	}
	return *data.Boot
}

// The new system is started by kexec with the image's own command line, tried before and said afterwards; what the verdict says of the
// firmware is what this device was seen to do.
func TestReflashKexec(t *testing.T) {
	const layout = "GRUB, grub.cfg on ext, MBR"
	b := waitingFor(t, bootKexec)
	tried := false
	b.On("kexec new trial", func(*devicetest.Command) int {
		_, untouched := b.holds()
		tried = untouched
		return devicetest.Pass
	})
	if out := b.run(t.Context(), bootKexec); out.Verdict != Done || out.State != Up || !strings.HasSuffix(out.Text, "; booted by kexec; this layout has not come up by firmware here before") {
		t.Fatalf("%+v\n%s", out, &b.told)
	}
	if !tried {
		t.Error("it was not tried before anything was written")
	}
	if got, want := b.KexecLine(), "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 ro"; got != want {
		t.Errorf("started with %q, want %q", got, want)
	}
	if b.Asked("reboot -f") {
		t.Error("it was rebooted, too")
	}
	if got := booted(t, b); got != (Booted{By: ByKexec, Layout: layout}) {
		t.Errorf("%+v", got)
	}
	_, last := b.told.verdicts()
	if said, err := json.Marshal(last.Data); err != nil || !strings.Contains(string(said), `"boot":{"by":"kexec","layout":"`+layout+`","firmware_booted":false}`) {
		t.Errorf("%s, %v", said, err)
	}
	var phases []string
	for _, l := range last.Data.Turnaround {
		phases = append(phases, l.Phase)
	}
	if got := strings.Join(phases, " "); got != "survey send down up flash load down up" {
		t.Errorf("turn-around: %s", got)
	}
	for _, c := range []struct {
		verb, says string
		want       Booted
	}{
		{"reflash", "", Booted{By: ByFirmware, Layout: layout, Firmware: true}},
		{bootKexec, "; booted by kexec; this layout has come up by firmware here before", Booted{By: ByKexec, Layout: layout, Firmware: true}},
	} {
		if out := b.run(t.Context(), c.verb); out.Verdict != Done || !strings.HasSuffix(out.Text, c.says) || c.says == "" && strings.Contains(out.Text, "booted") {
			t.Fatalf("%s: %+v\n%s", c.verb, out, &b.told)
		}
		if got := booted(t, b); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.verb, got, c.want)
		}
	}
	if r, err := device.ReadRecord(b.Target()); err != nil || len(r.Firmware) != 1 || r.Firmware[0] != layout {
		t.Errorf("the record: %+v, %v", r, err)
	}
}

// What is known before anything is written is said then, and nothing is written.
func TestReflashKexecRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		content func(t *testing.T) []byte
		change  func(b *bench)
		state   State
		want    string
	}{
		"no system":             {func(*testing.T) []byte { return bootable.Partitioned(3<<20 + 512) }, nil, Untouched, "the image's own kernel cannot be told"},
		"no kernel":             {func(t *testing.T) []byte { return bootable.Image(t, bootable.Entry, "MZ a program") }, nil, Untouched, "no Linux kernel in the bzImage format"},
		"arm64":                 {goodSystem, func(b *bench) { b.archive.Facts.Arch = "arm64" }, Untouched, "kernels for arm64 have no kexec_file_load"},
		"compressed, no system": {func(*testing.T) []byte { return bootable.Partitioned(3<<20 + 512) }, compressed, Untouched, "the image's own kernel cannot be told"},
		"compressed, no kernel": {func(t *testing.T) []byte { return bootable.Image(t, bootable.Entry, "MZ a program") }, compressed, Untouched, "no Linux kernel in the bzImage format"},
		"under lockdown": {goodSystem, func(b *bench) {
			b.On("kexec new trial", devicetest.Complain("groundhog-writer: this kernel allows no kexec (lockdown, ...)", 1))
		}, Held, "allows no kexec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := readyFor(benchFor(t, c.content(t)), bootKexec)
			if c.change != nil {
				c.change(b)
			}
			out := b.run(t.Context(), bootKexec)
			_, last := b.told.verdicts()
			if out.State != c.state || !strings.Contains(out.Text, c.want) || !strings.Contains(last.Hint, "--boot firmware") {
				t.Errorf("%+v (%q)", out, last.Hint)
			}
			if _, untouched := b.holds(); !untouched || b.KexecLine() != "" {
				t.Error("it was written to, or started")
			}
			if c.state == Untouched && b.Asked("groundhog_restore=") {
				t.Error("it was pushed to")
			}
			b.judge(out)
		})
	}
}

// How large a compressed image is may be known only when it was decoded, which kexec takes before the push: one that the disk does not hold is refused then.
func TestReflashKexecTooLarge(t *testing.T) {
	b := readyFor(benchFor(t, goodSystem(t)), bootKexec)
	compressed(b)
	b.Fact("disk_size", "4194304")
	out := b.run(t.Context(), bootKexec)
	_, last := b.told.verdicts()
	if out.Verdict != Refused || out.State != Untouched || !strings.Contains(out.Text, "/dev/vda, which has 4194304 bytes; the image that is to be flashed has 6291456") || last.Hint != "--target names another disk" {
		t.Errorf("%+v (%q)", out, last.Hint)
	}
	if b.Asked("groundhog_restore=") {
		t.Error("it was pushed to")
	}
}

// What fails only then is the firmware's affair, with a word about it; so is a kexec that nobody saw come up.
func TestReflashKexecFalls(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, b *bench)
		why    string
	}{
		"memory": {func(t *testing.T, b *bench) {
			b.On("kexec new load", devicetest.Complain("groundhog-writer: cannot allocate memory", 1))
		}, "cannot allocate memory"},
		"silent": {func(t *testing.T, b *bench) {
			b.On("kexec new load", func(c *devicetest.Command) int {
				io.WriteString(c.Stdout, "loaded\n")
				io.Copy(io.Discard, c.Stdin)
				return 0
			})
		}, "does not say that it starts"},
		"reset":                     {func(t *testing.T, b *bench) { b.On("bootloader_type", devicetest.Say("114\n", 0)) }, "a boot loader has started it"},
		"a stream without a system": {func(t *testing.T, b *bench) { b.stream(t, bootable.Partitioned(3<<20+512)) }, "cannot be told"},
		"hangs": {func(t *testing.T, b *bench) {
			// It is told to start, and comes back when its power was cycled.
			cycled := filepath.Join(t.TempDir(), "cycled")
			b.powerCycle, b.reboot = "touch "+cycled, 3*time.Second
			b.Once("kexec new load", func(c *devicetest.Command) int {
				b.Unplug()
				go func() {
					for {
						if _, err := os.Stat(cycled); err == nil {
							b.Reboot()
							b.Plug()
							return
						}
						select {
						case <-time.After(10 * time.Millisecond):
						case <-t.Context().Done():
							return
						}
					}
				}()
				return devicetest.Gone
			})
			b.patience = 10 * time.Second
		}, "its power was cycled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := waitingFor(t, bootKexec)
			c.change(t, b)
			out := b.run(t.Context(), bootKexec)
			if out.Verdict != Done || out.State != Up || !strings.Contains(out.Text, "; booted by the firmware: ") || !strings.Contains(out.Text, c.why) {
				t.Fatalf("%+v\n%s", out, &b.told)
			}
			if got := booted(t, b); got.By != ByFirmware || !got.Firmware && got.Layout != "" || !strings.Contains(got.Why, c.why) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// compressed has the image be a compressed file.
func compressed(b *bench) {
	b.t.Helper()
	b.path = filepath.Join(b.t.TempDir(), "disk.img.gz")
	err := os.WriteFile(b.path, judge.Gzip(b.content), 0o600)
	if err == nil {
		b.image, err = image.Open(b.t.Context(), b.path, "", nil)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.image.Close() })
}

// stream has the image come through a pipe.
func (b *bench) stream(t *testing.T, content []byte) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { w.Write(content); w.Close() }()
	img := judge.Value(image.Open(t.Context(), "-", "", r))(t)
	t.Cleanup(func() { img.Close(); r.Close() })
	b.image, b.content = img, content
}

// An image that comes through a pipe is started by kexec all the same, once it was written.
func TestReflashKexecStream(t *testing.T) {
	b := waitingFor(t, bootKexec)
	b.stream(t, b.content)
	if out := b.run(t.Context(), bootKexec); out.Verdict != Done || !strings.Contains(out.Text, "booted by kexec") || b.Asked("kexec new trial") {
		t.Errorf("%+v\n%s", out, &b.told)
	}
}

// A connection that is lost while the kernel is sent costs another try; an older writer is replaced by ours.
func TestReflashKexecAgain(t *testing.T) {
	b := waitingFor(t, bootKexec)
	b.Once("kexec new trial", func(c *devicetest.Command) int { return devicetest.Gone })
	b.Once("kexec new load", func(c *devicetest.Command) int { return devicetest.Gone })
	b.Once("groundhog-writer kexec new", devicetest.Complain("usage: groundhog-writer serve [DIR] | disks", 2))
	if out := b.run(t.Context(), bootKexec); out.Verdict != Done || !strings.Contains(out.Text, "booted by kexec") || !b.Asked("cat >/sbin/.groundhog-writer") {
		t.Errorf("%+v\n%s", out, &b.told)
	}
}

// A writer of another protocol is replaced once, though it had been asked for the disks before it was asked for kexec.
func TestReflashKexecOtherProtocol(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, bootKexec)
	b.Once("groundhog-writer version", devicetest.Say("groundhog-writer, protocol 1\n[]\n", 0))
	b.Once("groundhog-writer kexec new", devicetest.Complain("usage: groundhog-writer serve [DIR] | disks", 2))
	out := b.run(t.Context(), bootKexec)
	sent := 0
	for _, c := range b.Commands() {
		sent += strings.Count(c, "cat >/sbin/.groundhog-writer")
	}
	if out.Verdict != Done || sent != 1 {
		t.Errorf("sent %d times: %+v\n%s", sent, out, &b.told)
	}
}

// Hardware that hangs in a kexec is said to have been sent there, and what helps.
func TestReflashKexecHangs(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, bootKexec)
	b.patience, b.reboot = 10*time.Second, 2*time.Second
	b.On("kexec new load", func(*devicetest.Command) int { b.SwitchOff(); return devicetest.Gone })
	out := b.run(t.Context(), bootKexec)
	_, last := b.told.verdicts()
	if out.Verdict != Trouble || out.State != Starting || !strings.Contains(out.Text, "it was started by kexec: ") || !strings.Contains(last.Hint, "off and on again its firmware boots the image") {
		t.Errorf("%+v (%q)", out, last.Hint)
	}
}
