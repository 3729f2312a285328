package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/hint"
	"groundhog/initrd/show"
)

// reflashOptions is the command line of `groundhog reflash`.
type reflashOptions struct {
	flashOptions
	hosts         string
	expect        string
	ready         string
	plan          bool
	powerCycle    string
	rebootTimeout time.Duration
	maxSize       byteSize
}

func reflashCmd() *cobra.Command {
	o := reflashOptions{maxSize: defaultMaxSize}
	cmd := &cobra.Command{
		Use:   "reflash [HOST...] ARCHIVE IMAGE",
		Short: "Push, reboot, flash, reboot, and see the new system come up",
		Long: `Bring a device from its running system to a new image: push ARCHIVE, reboot into it,
make the disk equal to IMAGE, reboot, and wait until the new system answers. Each wait has
a bound. A run that stopped anywhere is taken up where it stands by the same command: a
device that waits in this archive's initramfs already is not pushed to.

The new system is one that answers with the right host key in another boot than before.
Which key that is, --expect-host-key says; without it the image does, if it carries keys in
an ext4 that debugfs can read, and else known_hosts.`,
		Example: `  groundhog reflash root@bench-1 reflash.img disk.img.xz --expect-host-key new.pub \
      --ready 'systemctl is-system-running --wait'
  groundhog reflash --hosts bench.txt --parallel 8 reflash.img disk.img.xz
  groundhog reflash root@bench-1 reflash.img disk.img --plan

Exit codes: 0 the new system runs; 1 refused, nothing was changed; 2 trouble, the last
line says what state the device is in; 3 not reached, worth another try; 130 interrupted. Of several devices: the worst.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := len(args) - 2
			return o.run(cmd, args[:n], args[n], args[n+1])
		},
	}
	o.remote.flags(cmd)
	o.flashOptions.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.hosts, "hosts", "", "also the devices in `FILE`, one a line; # begins a comment")
	f.StringVar(&o.expect, "expect-host-key", "", "the new system's `KEY`: SHA256:..., or a public key's file")
	f.StringVar(&o.ready, "ready", "", "wait until `COMMAND` ends well on the new system")
	f.StringVar(&o.powerCycle, "power-cycle", "", "run `COMMAND` here, with GROUNDHOG_HOST set, where a device does not come back from a reboot")
	f.DurationVar(&o.rebootTimeout, "reboot-timeout", 5*time.Minute, "how long a reboot, and --ready, may take")
	f.BoolVar(&o.plan, "plan", false, "say what would be done, and reach no device")
	f.Var(&o.maxSize, "max-size", "refuse an archive that unpacks to more than `SIZE`")
	return cmd
}

func (o *reflashOptions) run(cmd *cobra.Command, hosts []string, archive, path string) error {
	hosts, err := o.allHosts(hosts)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		return misused(cmd, errors.New("no device is named"))
	}
	if o.expect != "" {
		if o.expect, err = fingerprint(o.expect); err != nil {
			return err
		}
	}
	a, err := readPushed(archive, int64(o.maxSize))
	if err != nil {
		return err
	}
	img, err := o.open(cmd, path)
	if err != nil {
		return err
	}
	defer img.Close()
	if err := o.fits(); err != nil {
		return misused(cmd, err)
	}
	if o.plan {
		o.tellPlan(cmd, hosts, a, img, path)
		return nil
	}
	// It is read while the devices are being brought there: what is wrong with it is known before anything is written.
	go img.Load(cmd.Context())
	o.roll = device.NewRoll(len(hosts))
	r := o.reporter(cmd, len(hosts))
	defer r.close()
	return fleet(cmd, r, hosts, o.parallel, func(ctx context.Context, h host) int {
		done, data, err := o.cycle(ctx, h, a, img, path)
		return h.verdict(ctx, err, done, data)
	})
}

// tellPlan prints the steps.
func (o *reflashOptions) tellPlan(cmd *cobra.Command, hosts []string, a *pushed, img *image.Image, path string) {
	w := cmd.OutOrStdout()
	key := "a key that is in the image, or in known_hosts"
	if o.expect != "" {
		key = o.expect
	}
	size := ""
	if n, ok := img.Size(); ok {
		size = ", " + show.Bytes(n)
	}
	for _, name := range hosts {
		fmt.Fprintf(w, "%s:\n", name)
		fmt.Fprintf(w, "  1. push build %s, unless it waits there already, and reboot into it (at most %s)\n", a.facts.Build, o.rebootTimeout)
		fmt.Fprintf(w, "  2. make its disk equal to %s (%s%s), and read that back\n", path, img.Compression(), size)
		fmt.Fprintf(w, "  3. reboot, and wait for a system with %s (at most %s)\n", key, o.rebootTimeout)
		if o.ready != "" {
			fmt.Fprintf(w, "  4. there, wait until %q ends well (at most %s)\n", o.ready, o.rebootTimeout)
		}
	}
}

// allHosts is those of the command line and of --hosts, each once.
func (o *reflashOptions) allHosts(hosts []string) ([]string, error) {
	if o.hosts != "" {
		f, err := os.Open(o.hosts)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			name, _, _ := strings.Cut(lines.Text(), "#")
			if name = strings.TrimSpace(name); name != "" {
				hosts = append(hosts, name)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", o.hosts, err)
		}
	}
	seen := map[string]bool{}
	for _, name := range hosts {
		if _, err := device.ParseTarget(name); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("%s is named twice", name)
		}
		seen[name] = true
	}
	return hosts, nil
}

// fingerprint is a host key's, given as such or as a public key's file.
func fingerprint(s string) (string, error) {
	if strings.HasPrefix(s, "SHA256:") {
		return s, nil
	}
	b, err := os.ReadFile(s)
	if err != nil {
		return "", fmt.Errorf("--expect-host-key: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return "", fmt.Errorf("--expect-host-key: %s: no public key: %w", s, err)
	}
	return ssh.FingerprintSHA256(key), nil
}

// cycle is one device's way.
func (o *reflashOptions) cycle(ctx context.Context, h host, a *pushed, img *image.Image, path string) (string, any, error) {
	options := o.options().Initramfs(a.keys)
	c, state, err := o.bring(ctx, h, a, img, options)
	if err != nil {
		return "", nil, err
	}
	f := flashing{host: h, flashOptions: &o.flashOptions, c: c, options: options, state: state, img: img, path: path}
	defer func() { f.c.Close() }()
	if err := img.Err(); err != nil { // it was read while the device rebooted
		return "", nil, f.stays(ctx, fmt.Errorf("the image: %w", err))
	}
	if f.record, err = device.ReadRecord(h.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, f.stays(ctx, err)
	}
	if err := f.identify(ctx); err != nil { // the device that answers may not be ours to say more about
		return "", nil, refusal(err)
	}
	done, result, err := f.run(ctx)
	var refused exitCode
	if errors.As(err, &refused) && refused.code == exitNo {
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
	return exitCode{exitTrouble, hint.To(fmt.Errorf("%w; %s waits in its initramfs, %s", err, f.name, text), todo)}
}

// bring brings a device to where it waits, which it may do already.
func (o *reflashOptions) bring(ctx context.Context, h host, a *pushed, img *image.Image, options device.Options) (*device.Client, device.State, error) {
	if c, err := device.Dial(ctx, h.name, options); err == nil {
		state, err := c.State(ctx)
		if err == nil && state.Initramfs {
			h.phase("push", "build %s waits there already", state.Build)
			return c, state, nil
		}
		c.Close()
	}
	p := pushOptions{remote: o.remote, roll: o.roll, reboot: true, rebootTimeout: o.rebootTimeout}
	if size, ok := img.Size(); ok && o.target == "" {
		p.image = size
	}
	done, err := p.one(ctx, h, a)
	if err != nil && errors.Is(err, device.ErrTimeout) && o.powerCycle != "" {
		if err = o.cyclePower(ctx, h); err == nil {
			_, err = p.await(ctx, h, a, device.State{})
		}
	}
	if err != nil {
		return nil, device.State{}, err
	}
	h.phase("push", "%s", done)
	c, err := device.Dial(ctx, h.name, options)
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
func (o *reflashOptions) newSystem(ctx context.Context, h host, img *image.Image) (device.Options, error) {
	options := o.options()
	if o.expect != "" {
		options.HostKey, options.KnownHosts = o.expect, nil
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
func (o *reflashOptions) comesUp(ctx context.Context, h host, img *image.Image, before device.State) (device.State, error) {
	options, err := o.newSystem(ctx, h, img)
	if err != nil {
		return device.State{}, fmt.Errorf("the image is verified on the disk and the device reboots; reading its host keys: %w", err)
	}
	wait := device.Wait{Before: before.BootID, Timeout: o.rebootTimeout, Say: func(s string) { h.phase("wait", "%s", s) }}
	c, state, err := device.WaitSystem(ctx, h.name, options, wait)
	if err != nil && errors.Is(err, device.ErrTimeout) && o.powerCycle != "" {
		if err = o.cyclePower(ctx, h); err == nil {
			c, state, err = device.WaitSystem(ctx, h.name, options, wait)
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
	if o.ready == "" {
		return state, nil
	}
	return state, o.probe(ctx, h, c)
}

// probe asks the new system until it is ready.
func (o *reflashOptions) probe(ctx context.Context, h host, c *device.Client) error {
	h.phase("ready", "waiting until %q ends well", o.ready)
	limit, cancel := context.WithTimeout(ctx, o.rebootTimeout)
	defer cancel()
	last := errors.New("it has not ended once")
	for {
		r, err := c.Run(limit, o.ready, nil)
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
			return fmt.Errorf("the new system is up and was not ready within %s; last: %w", o.rebootTimeout, last)
		}
	}
}

// cyclePower runs the user's own command.
func (o *reflashOptions) cyclePower(ctx context.Context, h host) error {
	h.phase("power", "it does not come back: running %s", o.powerCycle)
	limit, cancel := context.WithTimeout(ctx, o.rebootTimeout)
	defer cancel()
	cmd := exec.CommandContext(limit, "/bin/sh", "-c", o.powerCycle)
	cmd.Env = append(os.Environ(), "GROUNDHOG_HOST="+h.name)
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("--power-cycle: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
