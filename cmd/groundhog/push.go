package main

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/push"
	"groundhog/cmd/internal/reflash"
	"groundhog/initrd/debian"
	"groundhog/manifest"
)

// wayHelp is --via's in push, and that of the flag of reflash that means the same.
const wayHelp = "the `WAY` in: replace, the initramfs that the boot loader finds; oneshot, by which the boot loader itself boots\n" +
	"something once; or kexec, which writes nothing to the disk\n" +
	"(default: kexec or oneshot where that brought this device there the last time, else replace)"

// pushOptions is the command line of `groundhog push`.
type pushOptions struct {
	remoteFlags
	reflash.PushOptions
	signed signedOptions
}

func pushCmd() *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push HOST... ARCHIVE",
		Short: "Put a reflash initramfs onto running devices, for one boot",
		Long: `Put a reflash initramfs (from groundhog patch) onto running devices, over SSH. HOST is
[user@]host[:port], or a name in ~/.ssh/config. The user is root, or may sudo -n.

First everything is checked, and nothing is written if anything does not fit. Then
the archive is sent, compared, and takes the place of the initramfs that the device
boots; whenever power or connection is cut, one of the two boots. With --via oneshot it
lies beside what boots otherwise, and GRUB, systemd-boot or the UEFI firmware is told to boot it once. With
--via kexec nothing is written at all: the running kernel starts itself once more with the
archive (amd64; some hardware hangs in that, until it is switched off and on). The pushed
archive is good for one boot: if nobody flashes the device within the archive's wait, its system comes
up and puts the original back. Which disk carries the system is kept in
$XDG_STATE_HOME/groundhog for flash.

Host keys come from known_hosts; an unknown one is refused. A device with a static
address gets it in the initramfs, too; others ask DHCP.`,
		Example: `  groundhog push root@bench-1 reflash.img --dry-run
  groundhog push root@bench-1 root@bench-2 reflash.img --reboot
  groundhog push root@bench-1 reflash.img --reboot --via kexec

Exit codes: 0 done; 1 refused by a check, nothing changed; 2 trouble, the last line
says what state the device is in; 3 not reached, worth another try; 130 interrupted. Of several devices: the worst.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.pushHosts(cmd, args[:len(args)-1], args[len(args)-1])
		},
	}
	o.remoteFlags.addFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.DryRun, "dry-run", false, "only check")
	f.BoolVar(&o.Reboot, "reboot", false, "reboot, and wait until the initramfs answers with its promised key")
	f.BoolVar(&o.Keep, "keep", false, "for every boot, until groundhog restore")
	f.StringVar(&o.Via, "via", "", wayHelp)
	f.StringVar(&o.Initramfs, "initramfs", "", "where the initramfs will answer, `HOST[:PORT]` (default: where the system does)")
	f.DurationVar(&o.RebootTimeout, "reboot-timeout", 5*time.Minute, "how long the initramfs may take to answer")
	o.signed.addFlags(f)
	return cmd
}

func (o *pushOptions) pushHosts(cmd *cobra.Command, hosts []string, path string) error {
	if err := o.checkDevices(cmd.Context(), hosts); err != nil {
		return err
	}
	if o.Initramfs != "" && len(hosts) > 1 {
		return cli.Misused(cmd, errors.New("--initramfs is for one device"))
	}
	if err := o.CheckVia(); err != nil {
		return cli.Misused(cmd, err)
	}
	if err := o.checkFiles(cmd.Context()); err != nil {
		return o.refuseAll(cmd, hosts, err)
	}
	a, err := o.signed.readPushed(inputsOf(cmd), path)
	if err != nil {
		return o.refuseAll(cmd, hosts, swappedArgs(err, hosts, path))
	}
	o.Roll = device.NewRoll(len(hosts))
	return o.runFleet(cmd, hosts, func(ctx context.Context, h reflash.Host, ssh device.Options) reflash.Outcome {
		p := o.PushOptions
		p.SSH, p.Writer = ssh, writerFor
		return reflash.Push(ctx, h, a, &p)
	})
}

// readPushed reads an archive and what must be known of it.
func readPushed(path string, maxSize int64) (*reflash.Archive, error) {
	a, err := input.Named().Archive(path, maxSize)
	if err != nil {
		return nil, err
	}
	facts := debian.Read(a.Image)
	p := &reflash.Archive{Size: a.File.Size, SHA256: a.File.SHA256, Image: a.Image, Keys: facts.PublicKeys(), Port: facts.Server.Port(), Facts: push.Archive{Size: a.File.Size,
		Arch: facts.Architecture, Kernel: facts.Kernel(), Modules: facts.Modules, Release: facts.Release, Dropbear: facts.HasDropbear()}}
	for _, segment := range a.Image.Segments {
		p.Facts.Unpacked += segment.Unpacked
	}
	if p.Path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if r, err := manifest.ReadRecord(a.Image); err == nil {
		p.Facts.Build, p.Facts.Board, p.Facts.Release = r.Build, r.Board, cmp.Or(r.Release, p.Facts.Release)
	}
	for _, k := range facts.CommandKeys() {
		p.Facts.Authorized = append(p.Facts.Authorized, k.Fingerprint())
	}
	return p, nil
}

func restoreCmd() *cobra.Command {
	var o struct {
		remoteFlags
	}
	cmd := &cobra.Command{
		Use:   "restore HOST...",
		Short: "Put the original initramfs back at once",
		Long: `Undo a push: put the original initramfs back, and compare what the disk then holds with
its hash. Where update-initramfs has made a newer one in the meantime, that stays.
A device does the same by itself in the first boot that nobody flashed.`,
		Example: `  groundhog restore root@bench-1

Exit codes: 0 the original is there, a newer one, or its kernel is gone; 1 refused, nothing changed (nothing
was pushed, say); 2 trouble; 3 not reached, worth another try; 130 interrupted. Of several devices: the worst.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, hosts []string) error {
			if err := o.checkDevices(cmd.Context(), hosts); err != nil {
				return err
			}
			if err := o.checkFiles(cmd.Context()); err != nil {
				return o.refuseAll(cmd, hosts, err)
			}
			roll := device.NewRoll(len(hosts))
			return o.runFleet(cmd, hosts, func(ctx context.Context, h reflash.Host, ssh device.Options) reflash.Outcome {
				return reflash.Restore(ctx, h, ssh, roll)
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}
