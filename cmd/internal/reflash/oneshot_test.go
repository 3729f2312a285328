package reflash

import (
	"strings"
	"testing"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/loader"
)

// facts changes what a push finds.
func (b *bench) facts(lines ...string) {
	for _, l := range lines {
		key, value, _ := strings.Cut(l, " ")
		b.Fact(key, value)
	}
}

func (b *bench) pushOnce(t *testing.T) Outcome {
	t.Helper()
	return Push(t.Context(), Host{Teller: &b.told, Name: b.Target()}, b.archive, &PushOptions{SSH: b.ssh, Roll: device.NewRoll(1), Reboot: true, Via: string(loader.OneShot), RebootTimeout: b.reboot})
}

// A one-shot is asked for once; what another way left is taken back before, and what worked is the way from then on.
func TestPushOneShot(t *testing.T) {
	b := newBench(t)
	b.facts("grub_once yes", "grub_editenv yes", "grub_entry yes", "grub_type ext4", "grub_on part", "pushed_way replace", "pushed x")
	var ways []string
	b.On("groundhog_restore=", func(c *devicetest.Command) int { ways = append(ways, c.Args[0]); return devicetest.Pass })
	if out := b.pushOnce(t); out.Verdict != Done || out.State != Held {
		t.Fatalf("%+v\n%s", out, &b.told)
	}
	if len(ways) != 1 || ways[0] != string(loader.NextEntry) {
		t.Errorf("pushed by %q", ways)
	}
	if said := b.told.String(); !strings.Contains(said, "by another way: the original is back") || !strings.Contains(said, "is told to boot the archive once") {
		t.Error(said)
	}
	if r, err := device.ReadRecord(b.Target()); err != nil || r.Via != "oneshot" {
		t.Errorf("%+v, %v", r, err)
	}
}

// An archive in the place of another kernel's initramfs is taken back before one goes into this one's, though the way is the same.
func TestPushOtherKernel(t *testing.T) {
	b := newBench(t)
	b.facts("pushed_way replace", "pushed x", "pushed_other /boot/initrd.img-6.1.0-55-amd64")
	if out := Push(t.Context(), Host{Teller: &b.told, Name: b.Target()}, b.archive, &PushOptions{SSH: b.ssh, Roll: device.NewRoll(1)}); out.Verdict != Done {
		t.Fatalf("%+v\n%s", out, &b.told)
	}
	if said := b.told.String(); !strings.Contains(said, "an archive was there in the place of /boot/initrd.img-6.1.0-55-amd64: the original is back") {
		t.Error(said)
	}
	b.On("take_lock", devicetest.Complain("groundhog: the original is damaged", 2))
	if out := Push(t.Context(), Host{Teller: &b.told, Name: b.Target()}, b.archive, &PushOptions{SSH: b.ssh, Roll: device.NewRoll(1)}); out.State != Either || !strings.Contains(out.Text, "in the place of /boot/initrd.img-6.1.0-55-amd64") {
		t.Errorf("%+v", out)
	}
}

// What worked is remembered until another way was seen to work: a push that nobody saw come up changes nothing of that.
func TestPushRemembers(t *testing.T) {
	b := newBench(t)
	b.facts("grub_once yes", "grub_editenv yes", "grub_entry yes", "grub_type ext4", "grub_on part")
	for _, c := range []struct {
		via    string
		reboot bool
		want   string
	}{{"oneshot", true, "oneshot"}, {"", false, "oneshot"}, {"replace", false, "oneshot"}, {"", true, "oneshot"}, {"replace", true, ""}, {"", true, ""}} {
		out := Push(t.Context(), Host{Teller: &b.told, Name: b.Target()}, b.archive, &PushOptions{SSH: b.ssh, Roll: device.NewRoll(1), Reboot: c.reboot, Via: c.via, RebootTimeout: b.reboot})
		if out.Verdict != Done {
			t.Fatalf("%+v: %+v\n%s", c, out, &b.told)
		}
		if r, err := device.ReadRecord(b.Target()); err != nil || r.Via != c.want {
			t.Errorf("%+v: %q, %v", c, r.Via, err)
		}
		b.Reboot() // its system again
		if b.Now().Initramfs {
			b.Reboot()
		}
	}
}

// What cannot be taken back stops the push, with the device as it was said to be.
func TestPushOneShotOverAnother(t *testing.T) {
	b := newBench(t)
	b.facts("grub_once yes", "grub_editenv yes", "grub_entry yes", "grub_type ext4", "grub_on part", "pushed_way replace", "pushed x")
	b.On("take_lock", devicetest.Complain("groundhog: the original is damaged", 2))
	b.On("groundhog_restore=", func(*devicetest.Command) int { t.Error("it was pushed"); return 1 })
	if out := b.pushOnce(t); out.Verdict != Trouble || out.State != Either || !strings.Contains(out.Text, "by another way, replace") {
		t.Errorf("%+v", out)
	}
}

// A Raspberry Pi's firmware is asked by the reboot, and afterwards whether it knows.
func TestPushTryBoot(t *testing.T) {
	for answer, want := range map[string]string{loader.Tried: "says that this boot is a tryboot", "\x00\x00\x00\x00": "does not say"} {
		b := newBench(t)
		b.facts("loader firmware/config.txt", "board raspberrypi,4-compute-module", "firmware_auto 1", "firmware_tryboot 00000000", "firmware_kernel kernel8.img",
			"kernel 6.12.25+rpt-rpi-v8", "firmware_free 300000", "firmware_mount /boot/firmware")
		b.archive.Facts.Kernel = "6.12.25+rpt-rpi-v8"
		b.On("cat /proc/device-tree/chosen/bootloader/tryboot", devicetest.Say(answer, 0))
		if out := b.pushOnce(t); out.Verdict != Done {
			t.Fatalf("%+v\n%s", out, &b.told)
		}
		if !b.Asked("--reboot-argument='0 tryboot' reboot") || !strings.Contains(b.told.String(), want) {
			t.Errorf("%s\n%q", &b.told, b.Commands())
		}
	}
}

// A push that is refused when an earlier archive was taken back for it is no push that changed nothing.
func TestPushRefusedOverAnother(t *testing.T) {
	for name, c := range map[string]struct {
		way   string // of the archive that is there
		exit  int
		state State
	}{
		"by another way":             {"replace", 1, Restored},
		"by the same":                {"nextentry", 3, Restored},
		"by the same, not reached":   {"nextentry", 1, Untouched},
		"by another way, then worse": {"replace", 2, Either},
	} {
		b := newBench(t)
		b.facts("grub_once yes", "grub_editenv yes", "grub_entry yes", "grub_type ext4", "grub_on part", "pushed_way "+c.way, "pushed x")
		b.On("groundhog_restore=", devicetest.Complain("groundhog: there is no room", c.exit))
		out := b.pushOnce(t)
		if out.State != c.state || (out.Verdict == Refused) != (c.state == Untouched) || !strings.Contains(out.Text, "there is no room") {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

// A dry run has the findings of the push that it stands for, and writes nothing.
func TestDryRunFindsTheSame(t *testing.T) {
	pi := []string{"loader firmware/config.txt", "board raspberrypi,4-compute-module", "firmware_auto 1", "firmware_flip 1", "firmware_tryboot 00000000",
		"firmware_kernel kernel8.img", "kernel 6.12.25+rpt-rpi-v8", "firmware_free 300000", "firmware_mount /boot/firmware"}
	for name, o := range map[string]PushOptions{
		"tryboot, and no reboot":           {Via: string(loader.OneShot)},
		"tryboot, and a reboot":            {Via: string(loader.OneShot), Reboot: true},
		"auto_initramfs, and no reboot":    {},
		"auto_initramfs for every boot":    {Keep: true, Reboot: true},
		"auto_initramfs, and a reboot now": {Reboot: true},
	} {
		said := map[bool]string{}
		for _, dry := range []bool{false, true} {
			b := newBench(t)
			b.facts(pi...)
			b.archive.Facts.Kernel = "6.12.25+rpt-rpi-v8"
			if dry {
				b.On("groundhog_restore=", func(*devicetest.Command) int { t.Errorf("%s: a dry run pushed", name); return 1 })
			}
			o.SSH, o.Roll, o.DryRun, o.RebootTimeout = b.ssh, device.NewRoll(1), dry, b.reboot
			out := Push(t.Context(), Host{Teller: &b.told, Name: b.Target()}, b.archive, &o)
			for _, e := range b.told.checks() {
				if e.ID == "login" { // names the key, which each bench makes anew
					e.Text = ""
				}
				said[dry] += e.ID + " " + e.Verdict + " " + e.Text + " (" + e.Hint + ")\n"
			}
			said[dry] += string(out.Verdict)
		}
		if said[true] != said[false] {
			t.Errorf("%s: the dry run says\n%s\nand the push\n%s", name, said[true], said[false])
		}
	}
}

// A push whose record cannot be kept ends in trouble, after all was sent: it is warned of that before, and so is who asks by a dry run.
func TestDryRunFindsNoPlaceForTheRecord(t *testing.T) {
	b := newBench(t)
	t.Setenv("XDG_STATE_HOME", "/dev/null/x")
	Push(t.Context(), Host{Teller: &b.told, Name: b.Target()}, b.archive, &PushOptions{SSH: b.ssh, Roll: device.NewRoll(1), DryRun: true})
	if said := b.told.String(); !strings.Contains(said, "warn what is learned of the device cannot be kept here") {
		t.Error(said)
	}
}
