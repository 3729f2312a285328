package reflash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/loader"
)

// CycleOptions say how a device comes from its running system to a new image.
type CycleOptions struct {
	FlashOptions
	Expect        string        // the new system's host key, SHA256:...; "": what is in the image, or known
	Ready         string        // a command that ends well on the new system; "": none
	PowerCycle    string        // a command here, where the device does not come back; "": none
	PushVia       string        // the way into the initramfs, as [PushOptions] has it
	RebootTimeout time.Duration // of each reboot, and of Ready
}

// Cycle pushes, reboots, flashes, reboots and waits for the new system.
func Cycle(ctx context.Context, h Host, a *Archive, img *image.Image, path string, o *CycleOptions) Outcome {
	done, data, err := o.cycle(ctx, h, a, img, path)
	return h.verdict(ctx, done, data, err)
}

// cycle is one device's way.
func (o *CycleOptions) cycle(ctx context.Context, h Host, a *Archive, img *image.Image, path string) (string, any, error) {
	options := o.SSH.Initramfs(a.Keys)
	c, state, err := o.bring(ctx, h, a, img, options)
	if err != nil {
		return "", nil, err
	}
	f := flashing{Host: h, FlashOptions: &o.FlashOptions, c: c, options: options, state: state, img: img, path: path}
	defer func() { f.c.Close() }()
	if err := img.Err(); err != nil { // it was read while the device rebooted
		return "", nil, f.stays(ctx, fmt.Errorf("the image: %w", err))
	}
	if f.record, err = device.ReadRecord(h.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, f.stays(ctx, err)
	}
	if err := f.identify(ctx); err != nil { // the device that answers may not be ours to say more about
		return "", nil, refusal(err)
	}
	done, result, err := f.run(ctx)
	if isRefusal(err) {
		err = f.stays(ctx, err)
	}
	if err != nil {
		return "", result, err
	}
	h.phase("flash", "%s", done)
	if err := f.restart(ctx); err != nil {
		return "", result, hint.To(fmt.Errorf("the image is verified on the disk; rebooting: %w", err), "reboot -f in its initramfs starts the new system")
	}
	up, err := o.comesUp(ctx, h, img, state)
	if err != nil {
		return "", result, err
	}
	return done + "; the new system is up, boot " + up.BootID, result, nil
}

// stays is an error before which this run wrote nothing, on a device that waits and is no longer the running system that
// it was. An earlier flash may have left its disk half written: then it boots nothing.
func (f *flashing) stays(ctx context.Context, err error) error {
	text, todo := "its disk is as it was", "groundhog-continue there boots the old system, as the end of the wait does"
	if f.again(ctx) == nil {
		if r, asked := f.c.Run(ctx, "[ -e /run/groundhog/writing ]", nil); asked == nil && r.Exit == 0 {
			text, todo = "an earlier flash left its disk neither old nor new", "flash it again: until then it boots nothing"
		}
	}
	return refused{hint.To(fmt.Errorf("%w; %s waits in its initramfs, %s", err, f.Name, text), todo), false}
}

// bring brings a device to where it waits, which it may do already.
func (o *CycleOptions) bring(ctx context.Context, h Host, a *Archive, img *image.Image, options device.Options) (*device.Client, device.State, error) {
	if c, err := device.Dial(ctx, h.Name, options); err == nil {
		state, err := c.State(ctx)
		if err == nil && state.Initramfs {
			h.phase("push", "build %s waits there already", state.Build)
			return c, state, nil
		}
		c.Close()
	}
	p := PushOptions{SSH: o.SSH, Roll: o.Roll, Reboot: true, Via: o.PushVia, Writer: o.Writer, RebootTimeout: o.RebootTimeout}
	if size, ok := img.Size(); ok && o.Target == "" {
		p.Image = size
	}
	done, err := p.one(ctx, h, a)
	if err != nil && errors.Is(err, device.ErrTimeout) && o.PowerCycle != "" {
		if err = o.cyclePower(ctx, h); err == nil {
			_, err = p.await(ctx, h, a, loader.Boot{}, device.State{})
		}
	}
	if err != nil {
		return nil, device.State{}, err
	}
	h.phase("push", "%s", done)
	c, err := device.Dial(ctx, h.Name, options)
	if err != nil {
		return nil, device.State{}, err
	}
	state, err := c.State(ctx)
	if err == nil && !state.Initramfs {
		err = errors.New("a system answers with the initramfs' key")
	}
	if err != nil {
		c.Close()
		return nil, state, err
	}
	return c, state, nil
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
		h.phase("wait", "%v: known_hosts has to know the new system's", err)
	case err != nil:
		return options, err
	default:
		options.Keys, options.HostKey, options.KnownHosts = keys, "", nil
	}
	return options, nil
}

// comesUp waits for the new system.
func (o *CycleOptions) comesUp(ctx context.Context, h Host, img *image.Image, before device.State) (device.State, error) {
	options, err := o.newSystem(ctx, h, img)
	if err != nil {
		return device.State{}, fmt.Errorf("the image is verified on the disk and the device reboots; reading its host keys: %w", err)
	}
	wait := device.Wait{Before: before.BootID, Timeout: o.RebootTimeout, Say: func(s string) { h.phase("wait", "%s", s) }}
	c, state, err := device.WaitSystem(ctx, h.Name, options, wait)
	if err != nil && errors.Is(err, device.ErrTimeout) && o.PowerCycle != "" {
		if err = o.cyclePower(ctx, h); err == nil {
			c, state, err = device.WaitSystem(ctx, h.Name, options, wait)
		}
	}
	if errors.Is(err, device.ErrAuth) {
		return state, hint.To(fmt.Errorf("the image is verified on the disk and its system answers with the right host key: %w", err),
			"put your public key into the image, or name one that it has with --identity")

	}
	if err != nil {
		return state, hint.To(fmt.Errorf("the image is verified on the disk and the device was told to reboot: %w", err),
			"its console tells; where another host key answers, --expect-host-key names the new one")

	}
	defer c.Close()
	if o.Ready == "" {
		return state, nil
	}
	return state, o.probe(ctx, h, c)
}

// probe asks the new system until it is ready.
func (o *CycleOptions) probe(ctx context.Context, h Host, c *device.Client) error {
	h.phase("ready", "waiting until %q ends well", o.Ready)
	limit, cancel := context.WithTimeout(ctx, o.RebootTimeout)
	defer cancel()
	last := errors.New("it has not ended once")
	for {
		r, err := c.Run(device.Patient(limit, o.RebootTimeout), o.Ready, nil) // it may wait without a word
		if err == nil {
			err = r.Err("--ready")
		}
		if err == nil {
			return nil
		}
		if limit.Err() == nil {
			last = err
		}
		select {
		case <-time.After(time.Second):
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the new system is up and was not ready within %s; last: %w", o.RebootTimeout, last)
		}
	}
}

// cyclePower runs the user's own command.
func (o *CycleOptions) cyclePower(ctx context.Context, h Host) error {
	h.phase("power", "it does not come back: running %s", o.PowerCycle)
	limit, cancel := context.WithTimeout(ctx, o.RebootTimeout)
	defer cancel()
	cmd := exec.CommandContext(limit, "/bin/sh", "-c", o.PowerCycle)
	cmd.Env = append(os.Environ(), "GROUNDHOG_HOST="+h.Name)
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("--power-cycle: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
