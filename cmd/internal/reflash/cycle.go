package reflash

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/interrupt"
	"groundhog/cmd/internal/loader"
)

// CycleOptions say how a device comes from its running system to a new image.
type CycleOptions struct {
	FlashOptions
	Expect        string        // the new system's host key, SHA256:...; "": what is in the image, or known
	Ready         string        // a command that ends well on the new system; "": none
	Initramfs     string        // where the initramfs answers; "": where the system does
	PowerCycle    string        // a command here, where the device does not come back; "": none
	PushVia       string        // the way into the initramfs, as [PushOptions] has it
	Boot          string        // the way from it into the new system: ByKexec; "", ByFirmware: a reboot
	RebootTimeout time.Duration // of each reboot, and of Ready
}

// Cycle pushes, reboots, flashes, reboots and waits for the new system.
func Cycle(ctx context.Context, h Host, a *Archive, img *image.Image, path string, o *CycleOptions) Outcome {
	return h.tellVerdict(ctx, o.cycleDevice(ctx, h, a, img, path))
}

// cycleDevice brings one device from its running system to the new image.
func (o *CycleOptions) cycleDevice(ctx context.Context, h Host, a *Archive, img *image.Image, path string) runResult {
	defer img.OnLoss(h.tellImage)()
	options := o.SSH.Initramfs(a.Keys).OnPort(o.waitsAt(h), a.Port)
	if err := o.startsEarly(ctx, a, img); err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	took := newTurnaround()
	c, state, pushed, err := o.bringToWait(ctx, h, a, img, options, took)
	if err != nil {
		return runResult{err: err}
	}
	f := flashing{Host: h, at: o.waitsAt(h), FlashOptions: &o.FlashOptions, c: c, options: options, state: state, img: img, path: image.Shown(path)}
	defer func() { f.c.Close() }()
	f.askFirst(ctx)
	if err := img.Err(); err != nil { // the image was read while the device rebooted
		return runResult{err: inState(f.stateOfWaiting(ctx), fmt.Errorf("the image: %w", err))}
	}
	if f.record, err = device.ReadRecord(h.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return runResult{err: inState(f.stateOfWaiting(ctx), err)}
	}
	if err := f.retryStep(ctx, func() error { return f.identifyDevice(ctx) }); errors.Is(err, device.ErrOther) || errors.Is(err, device.ErrTwice) {
		if pushed {
			return runResult{err: inState(Rebooting, err)}
		}
		return runResult{err: inState(Untouched, err)} // of that one's disk nothing is known
	} else if err != nil {
		return runResult{err: inState(f.stateOfWaiting(ctx), err)}
	}
	b := &booting{flashing: &f, wanted: o.Boot}
	starts, err := o.Starts(ctx, a, img)
	if err == nil {
		err = b.tryKernel(ctx, starts)
	}
	if err != nil {
		return runResult{err: inState(f.stateOfWaiting(ctx), err)}
	}
	r := f.flashDisk(ctx)
	if r.err != nil && stateOf(r.err) == Untouched { // this run has rebooted it, so it is not untouched
		r.err = inState(f.stateOfWaiting(ctx), r.err)
	}
	if r.err != nil {
		return r
	}
	h.tellPhase("flash", "%s", r.done)
	took.endLap("flash")
	if r.err = b.leaveInitramfs(ctx); r.err != nil {
		return r
	}
	go img.Layout(ctx) // which may take decoding; the device is on its way meanwhile
	if o.Boot == ByKexec {
		took.endLap("load")
	}
	up, err := o.comesUp(ctx, h, img, state, took, b)
	if err != nil {
		r.err = err
		return r
	}
	b.noteFirmwareBoot(ctx)
	if data := r.data; data != nil {
		data.Turnaround, data.Boot = took.laps, &b.Booted
	}
	h.tellPhase("turnaround", "turn-around %s", took)
	r.done, r.state = r.done+"; the new system is up, boot "+up.BootID+b.howBooted(), Up
	return r
}

// waitsAt is where the initramfs answers.
func (o *CycleOptions) waitsAt(h Host) string {
	return cmp.Or(o.Initramfs, h.Name)
}

// stateOfWaiting is the state of a device that waits and to whose disk this run wrote nothing. An earlier flash may have left the disk half written:
// then the device does not boot by itself.
func (f *flashing) stateOfWaiting(ctx context.Context) State {
	ctx, cancel := interrupt.Asking(ctx, askFor)
	defer cancel()
	c, err := f.loginAgain(ctx)
	if err != nil {
		return Rebooting
	}
	defer c.Close()
	if r, err := c.Run(ctx, "[ -e /run/groundhog/writing ]", nil); err == nil && r.Exit == 0 {
		return Waiting
	}
	return Held
}

// bringToWait brings a device to where it waits, which it may do already: then nothing was pushed.
func (o *CycleOptions) bringToWait(ctx context.Context, h Host, a *Archive, img *image.Image, options device.Options, took *turnaround) (c *device.Client, state device.State, pushed bool, err error) {
	if c, err := device.Dial(ctx, o.waitsAt(h), options); err == nil {
		state, err := c.State(ctx)
		if err == nil && state.Initramfs {
			h.tellPhase("push", "build %s waits there already", state.Build)
			return c, state, false, nil
		}
		c.Close()
	}
	p := PushOptions{SSH: o.SSH, Roll: o.Roll, Reboot: true, Initramfs: o.Initramfs, Via: o.PushVia, viaFlag: "--push-via", Writer: o.Writer, RebootTimeout: o.RebootTimeout, turnaround: took,
		before: func(ctx context.Context, f loader.Facts) error { return o.startsBefore(ctx, h, a, img, f) }}
	if size, ok := img.Size(); ok && o.Target == "" {
		p.Image = size
	}
	r := p.pushDevice(ctx, h, a)
	if r.err != nil && errors.Is(r.err, device.ErrTimeout) && o.PowerCycle != "" {
		if r.err = inState(Rebooting, o.cyclePower(ctx, h)); r.err == nil {
			_, r.err = p.awaitInitramfs(ctx, h, a, loader.Boot{}, device.State{}, device.Who{})
		}
	}
	if r.err != nil {
		return nil, device.State{}, true, r.err
	}
	h.tellPhase("push", "build %s waits on %s", a.Facts.Build, h.Name)
	if c, err = device.Dial(ctx, o.waitsAt(h), options); err != nil {
		return nil, device.State{}, true, inState(Rebooting, err)
	}
	state, err = c.State(ctx)
	if err == nil && !state.Initramfs {
		err = errors.New("a system answers with the initramfs' key")
	}
	if err != nil {
		c.Close()
		return nil, state, true, inState(Rebooting, err)
	}
	return c, state, true, nil
}

// newSystem is how the new system is known: by the key that the command line names, by those in the image, or by known_hosts.
func (o *CycleOptions) newSystem(ctx context.Context, h Host, img *image.Image) (device.Options, error) {
	options := o.SSH
	if o.Expect != "" {
		options.HostKey, options.KnownHosts = o.Expect, nil
		return options, nil
	}
	keys, err := img.HostKeys(ctx)
	switch {
	case errors.Is(err, image.ErrNoHostKey):
		h.tellPhase("wait", "%v: known_hosts has to know the new system's", err)
	case err != nil:
		return options, err
	default:
		options.Keys, options.HostKey, options.KnownHosts = keys, "", nil
	}
	return options, nil
}

// comesUp waits for the new system.
func (o *CycleOptions) comesUp(ctx context.Context, h Host, img *image.Image, before device.State, took *turnaround, b *booting) (device.State, error) {
	options, err := o.newSystem(ctx, h, img)
	if err != nil {
		return device.State{}, inState(Starting, fmt.Errorf("reading the image's host keys: %w", err))
	}
	wait := device.Wait{Before: before.BootID, Timeout: o.RebootTimeout, Down: took.endDown, Say: func(s string) { h.tellPhase("wait", "%s", s) }}
	c, state, err := device.WaitSystem(ctx, h.Name, options, wait)
	if err != nil && errors.Is(err, device.ErrTimeout) && o.PowerCycle != "" {
		if err = o.cyclePower(ctx, h); err == nil {
			if wait.Down = nil; b.By == ByKexec {
				b.By, b.Why = ByFirmware, "what kexec had started did not come up, and its power was cycled"
			}
			c, state, err = device.WaitSystem(ctx, h.Name, options, wait)
		}
	}
	if errors.Is(err, device.ErrAuth) {
		return state, inState(Up, hint.To(err, "put your public key into the image, or name one that it has with --identity"))
	}
	if err != nil && b.By == ByKexec {
		err = hint.To(fmt.Errorf("it was started by kexec: %w", err), "off and on again its firmware boots the image; --power-cycle does that")
	}
	if err != nil {
		return state, inState(Starting, err)
	}
	b.askArrived(ctx, c)
	if o.Ready == "" {
		c.Close()
		took.endLap("up")
		return state, nil
	}
	err = inState(Up, o.probeReady(ctx, h, c, options))
	took.endLap("up")
	return state, err
}

// probeReady asks the new system until it is ready. Where the connection is lost, another one asks on.
func (o *CycleOptions) probeReady(ctx context.Context, h Host, c *device.Client, options device.Options) error {
	h.tellPhase("ready", "waiting until %q ends well", o.Ready)
	limit, cancel := context.WithTimeout(ctx, o.RebootTimeout)
	defer cancel()
	defer func() { c.Close() }()
	last := errors.New("it has not ended once")
	for {
		_, err := c.AskUser(limit) // how it ends is to come through
		if err == nil {
			var r device.Result
			if r, err = c.Run(device.Patient(limit, o.RebootTimeout), o.Ready, nil); err == nil { // the command may wait without a word
				err = r.Err("--ready")
			}
		}
		switch {
		case err == nil:
			return nil
		case limit.Err() == nil:
			last = err
		}
		select {
		case <-time.After(tryAgain):
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("it was not ready within %s; last: %w", o.RebootTimeout, last)
		}
		if isLoss(err) {
			if other, err := device.Dial(ctx, h.Name, options); err == nil {
				c.Close()
				c = other
			}
		}
	}
}

// cyclePower runs the user's own command. An interruption lets it come to its end: between off and on it would leave a device that needs hands. The
// second one ends it, and so does its time.
func (o *CycleOptions) cyclePower(ctx context.Context, h Host) error {
	h.tellPhase("power", "it does not come back: running %s", o.PowerCycle)
	limit, cancel := interrupt.Asking(ctx, o.RebootTimeout)
	defer cancel()
	cmd := exec.CommandContext(limit, "/bin/sh", "-c", o.PowerCycle)
	cmd.Env = append(os.Environ(), "GROUNDHOG_HOST="+h.Name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C at the terminal is for us
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	said := &device.OutputTail{Limit: maxWords}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if limit.Err() != nil {
		err = errors.New("it was ended before it was done; see whether the device has power")
	}
	return fmt.Errorf("--power-cycle: %w: %s", err, strings.TrimSpace(string(said.KeptBytes())))
}

// maxWords bounds what is quoted of a program of this machine, in bytes.
const maxWords = 1024
