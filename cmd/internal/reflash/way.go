package reflash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/loader"
	"groundhog/cmd/internal/push"
)

var errKexecStays = errors.New("kexec starts the archive at once: it goes with --reboot")

// CheckVia refuses what does not go with a way.
func (o *PushOptions) CheckVia() error {
	switch {
	case o.Via == string(loader.Kexec) && !o.Reboot && !o.DryRun:
		return errKexecStays
	case o.Keep && (o.Via == string(loader.Kexec) || o.Via == string(loader.OneShot)):
		return fmt.Errorf("--keep is for more than one boot, and %s for one", o.Via)
	}
	return nil
}

// kexecStaysFinding is what a dry run, which may ask whether kexec would do, says of the push without --reboot, which CheckVia refuses.
func (o *PushOptions) kexecStaysFinding() []push.Finding {
	if o.Via != string(loader.Kexec) || o.Reboot {
		return nil
	}
	return []push.Finding{{ID: "reboot", Verdict: push.Warn, Text: errKexecStays.Error()}}
}

// wayTo is the way into one device: the one that was asked for; else the one that worked last time, if it was not the ordinary one; else
// "", which leaves it to the boot loader.
func (o *PushOptions) wayTo(h Host) loader.Way {
	if o.Via != "" || !o.Reboot || o.Keep {
		return loader.Way(o.Via)
	}
	if r, err := device.ReadRecord(h.Name); err == nil && slices.Contains([]loader.Way{loader.Kexec, loader.OneShot}, loader.Way(r.Via)) {
		return loader.Way(r.Via)
	}
	return ""
}

// loadSilence is how long a device may say nothing while its kernel loads another: that hashes all of it, and a machine with
// one slow CPU does nothing else meanwhile (half a minute of CPU under emulation).
const loadSilence = 3 * time.Minute

// patientOptions is the options for a device that may be brought there by kexec.
func (o *PushOptions) patientOptions(h Host) device.Options {
	options := o.SSH
	if o.wayTo(h) == loader.Kexec {
		options.Silence = max(options.Silence, loadSilence)
	}
	return options
}

// tryKexec asks the device's kernel, which alone knows what it refuses. otherwise is what to do then.
func (o *PushOptions) tryKexec(ctx context.Context, c *device.Client, facts loader.Facts, boot loader.Boot, otherwise string) push.Finding {
	b, err := o.Writer(facts.Get("arch"))
	if err == nil {
		err = loader.Trial(ctx, c, boot, b)
	}
	if err != nil {
		return push.Finding{ID: "kexec", Verdict: push.Refuse, Text: err.Error(), Hint: otherwise}
	}
	return push.Finding{ID: "kexec", Verdict: push.OK, Text: "its kernel takes itself: loaded, and let go of"}
}

// leaveSystem reboots the running system, unless kexec has left it already. The state is that of the boot that ran until then.
func leaveSystem(ctx context.Context, c *device.Client, facts loader.Facts, boot loader.Boot) (device.State, error) {
	if boot.Way == loader.Kexec {
		return device.State{BootID: facts.Get("boot_id")}, nil
	}
	return c.RebootWith(ctx, boot.Way.RebootArgument())
}

// tellTryboot tells whether the firmware says, in the device tree, that this boot is the tryboot that it was asked for.
func tellTryboot(ctx context.Context, h Host, c *device.Client) {
	said, err := c.Output(ctx, "cat /proc/device-tree/chosen/bootloader/tryboot")
	if err == nil && said == loader.Tried {
		h.tellPhase("wait", "the firmware says that this boot is a tryboot: the next one is an ordinary one")
		return
	}
	h.tellPhase("wait", "the firmware does not say that this boot is a tryboot (%.80q)", said)
}

// unseenState is the state of a device that was sent into the initramfs and does not answer.
func unseenState(boot loader.Boot) State {
	if boot.Way == loader.Kexec {
		return Kexeced
	}
	return Rebooting
}

// rememberWay notes the way that worked in the device's record; the ordinary way is not noted.
func rememberWay(name string, boot loader.Boot) error {
	way := boot.Way
	switch {
	case way.Once():
		way = loader.OneShot
	case way != loader.Kexec:
		way = ""
	}
	r, err := device.ReadRecord(name)
	if err == nil && r.Via == string(way) {
		return nil
	}
	if err == nil {
		r.Via = string(way)
		_, err = r.Save()
	}
	if err != nil {
		return fmt.Errorf("noting that %s works: %w", way, err)
	}
	return nil
}
