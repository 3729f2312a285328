package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/reflash"
)

// reflashOptions is the command line of `groundhog reflash`.
type reflashOptions struct {
	flashOptions
	hosts  string
	plan   bool
	signed signedOptions

	reflash.CycleOptions // but for what flashOptions has
}

func reflashCmd() *cobra.Command {
	var o reflashOptions
	cmd := &cobra.Command{
		Use:   "reflash [HOST...] ARCHIVE IMAGE",
		Short: "Push, reboot, flash, reboot, and see the new system come up",
		Long: `Bring a device from its running system to a new image: push ARCHIVE, reboot into it,
make the disk equal to IMAGE, reboot, and wait until the new system answers. Each wait has
a bound. A run that stopped anywhere is taken up where it stands by the same command: a
device that waits in this archive's initramfs already is not pushed to.

The new system is up when another boot answers with the right host key: that of
--expect-host-key; without it the one in the image, if debugfs can read it from an ext4;
else the one in known_hosts.

With --boot kexec the kernel that waits starts the new system itself, without the firmware.
It starts what the image's own boot loader (GRUB, systemd-boot, extlinux) would start by
itself. What stands against that in a file is said before the push, for which a compressed one
is decoded first, or by the kernel that waits before anything is written; where a
stream cannot be started so, or kexec fails, the firmware starts the new system after all.
That a device comes up by kexec does not show that the image's boot loader works: the verdict
says whether it has come up by its firmware with an image of this layout before.`,
		Example: `  groundhog reflash root@bench-1 reflash.img disk.img.xz --expect-host-key new.pub \
      --ready 'systemctl is-system-running --wait'
  groundhog reflash --hosts bench.txt --parallel 8 reflash.img disk.img.xz
  groundhog reflash root@bench-1 reflash.img disk.img --plan

Exit codes: 0 the new system runs; 1 refused, nothing was changed; 2 trouble, the last
line says what state the device is in; 3 not reached, worth another try; 130 interrupted. Of several devices: the worst.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			n := len(args) - 2
			return o.reflashHosts(cmd, args[:n], args[n], args[n+1])
		},
	}
	o.remoteFlags.addFlags(cmd)
	o.flashOptions.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.hosts, "hosts", "", "also the devices in `FILE`, one a line; # begins a comment")
	f.StringVar(&o.Expect, "expect-host-key", "", "the new system's `KEY`: SHA256:..., or a public key's file")
	f.StringVar(&o.Ready, "ready", "", "wait until `COMMAND` ends well on the new system")
	f.StringVar(&o.PowerCycle, "power-cycle", "", "run `COMMAND` here, with GROUNDHOG_HOST set, where a device does not come back from a reboot")
	f.StringVar(&o.PushVia, "push-via", "", wayHelp)
	f.StringVar(&o.Boot, "boot", reflash.ByFirmware, "the `WAY` into the new system: firmware, or kexec, which starts it without (amd64)")
	f.StringVar(&o.Initramfs, "initramfs", "", "where the initramfs will answer, `HOST[:PORT]` (default: where the system does)")
	f.DurationVar(&o.RebootTimeout, "reboot-timeout", 5*time.Minute, "how long a reboot, and --ready, may take")
	f.BoolVar(&o.plan, "plan", false, "say what would be done, and reach no device")
	o.signed.addFlags(f)
	return cmd
}

func (o *reflashOptions) reflashHosts(cmd *cobra.Command, hosts []string, archive, path string) error {
	in := inputsOf(cmd)
	hosts, err := o.allHosts(cmd.Context(), in, hosts)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		return cli.Misused(cmd, errors.New("no device is named"))
	}
	if o.Initramfs != "" && len(hosts) > 1 {
		return cli.Misused(cmd, errors.New("--initramfs is for one device"))
	}
	if o.Expect != "" {
		if o.Expect, err = hostFingerprint(in, o.Expect); err != nil {
			return o.refuseAll(cmd, hosts, reflash.Unread(err))
		}
	}
	if err := o.checkFiles(cmd.Context()); err != nil {
		return o.refuseAll(cmd, hosts, err)
	}
	a, err := o.signed.readPushed(in, archive)
	if err != nil {
		return o.refuseAll(cmd, hosts, swappedArgs(err, hosts, archive))
	}
	img, err := o.openImage(cmd.Context(), in, path)
	if err != nil {
		return o.refuseAll(cmd, hosts, swappedArgs(err, hosts, path))
	}
	defer img.Close()
	if err := o.checkTogether(); err != nil {
		return cli.Misused(cmd, err)
	}
	if o.plan {
		starts, err := o.Starts(cmd.Context(), a, img)
		if err != nil {
			return o.refuseAll(cmd, hosts, err)
		}
		o.tellPlan(cmd, hosts, a, img, path, starts)
		return nil
	}
	// It is read while the devices are being brought there: what is wrong with it is known before anything is written.
	go img.Load(cmd.Context())
	o.shareAmong(len(hosts))
	return o.runFleet(cmd, hosts, func(ctx context.Context, h reflash.Host, ssh device.Options) reflash.Outcome {
		c := o.CycleOptions
		c.FlashOptions = *o.forHost(ssh)
		return reflash.Cycle(ctx, h, a, img, path, &c)
	})
}

// allHosts is those of the command line and of --hosts, each once.
func (o *reflashOptions) allHosts(ctx context.Context, in *input.Files, hosts []string) ([]string, error) {
	if o.hosts != "" {
		text, _, err := in.Small("hosts", o.hosts)
		if err != nil {
			return nil, fmt.Errorf("--hosts: %w", err)
		}
		n := 0
		for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) { // with which editors of other systems begin a text
			n++
			name, _, _ := strings.Cut(line, "#")
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if _, err := device.ParseTarget(name); err != nil {
				return nil, fmt.Errorf("--hosts: %s, line %d: %w", o.hosts, n, err)
			}
			hosts = append(hosts, name)
		}
	}
	return hosts, o.checkDevices(ctx, hosts)
}

// hostFingerprint is a host key's, given as such or as a public key's file.
func hostFingerprint(in *input.Files, s string) (string, error) {
	if strings.HasPrefix(s, "SHA256:") {
		return s, nil
	}
	b, _, err := in.Small("key", s)
	if err != nil {
		return "", fmt.Errorf("--expect-host-key: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return "", fmt.Errorf("--expect-host-key: %s: no public key: %w", s, err)
	}
	return ssh.FingerprintSHA256(key), nil
}
