package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/reflash"
)

// flashOptions is the command line of `groundhog flash`.
type flashOptions struct {
	remoteFlags
	reflash.FlashOptions
	sha256 string
	force  bool
}

func flashCmd() *cobra.Command {
	var o flashOptions
	cmd := &cobra.Command{
		Use:   "flash HOST... IMAGE",
		Short: "Make the disk of devices that wait in their initramfs equal to an image",
		Long: `Make the disk of waiting devices (groundhog push --reboot) equal to a disk image. HOST
is [user@]host[:port]. IMAGE is raw, or compressed with gzip, xz, zstd, bzip2 or
lz4: a file, an http or https URL, or - for standard input. It is decoded once. A
download that breaks off goes on there if the server tells its files apart by ETag.

The device compares its disk with the image, chunk by chunk of 1 MiB; what differs is
sent, written and read back from the medium; the first chunk, with the partition table,
comes last. A lost connection is made again, and what was verified stays. A GPT's backup
is put where the disk ends. Success is said of what was read back, and of nothing else.

The disk is the one that push recorded as the system's, else the only one that is not
removable. An image's first MiB tells what it is, and whether it fits the disk: sectors,
partitions, filesystem. What is no disk image, cut, or for another disk is refused by name;
--force writes it all the same. Its SHA-256 comes from --sha256, or from IMAGE.sha256 or
SHA256SUMS beside it; the verdict says which, or that it was not checked against anything.
A compressed file is decoded to its end before anything is written; an image that changes
meanwhile is not verified. What is known of a file is kept in $XDG_CACHE_HOME/groundhog.

--via curl does without groundhog's own writer: the device runs curl | decoder | dd, every
stage's end counts, and the whole disk is read back and hashed. It fetches IMAGE from
the URL that IMAGE is or that --url gives; a file is otherwise served through the
connection, on the device's own loopback.

Host keys: those of the archive that push recorded; where nothing was, known_hosts.`,
		Example: `  groundhog flash root@bench-1 disk.img.xz --reboot
  groundhog flash root@bench-1 disk.img --check
  groundhog flash root@bench-1 disk.img --target serial:S3Z9NB0K
  groundhog flash root@bench-1 disk.img.xz --via curl --url http://10.0.0.1/disk.img.xz

Exit codes: 0 verified, or with --check equal; 1 refused or, with --check, different:
nothing was written; 2 trouble, the last line says what state the device is in; 3 not
reached, worth another try; 130 interrupted. Of several devices: the worst.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.flashHosts(cmd, args[:len(args)-1], args[len(args)-1])
		},
	}
	o.remoteFlags.addFlags(cmd)
	o.addFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.Check, "check", false, "only compare, write nothing")
	f.BoolVar(&o.Reboot, "reboot", false, "reboot the device at the end; without it, it keeps waiting")
	return cmd
}

// addFlags is what flash and reflash share.
func (o *flashOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Target, "target", "", "write to `DISK`: "+disk.Names())
	f.StringVar(&o.sha256, "sha256", "", "the image's file must have this SHA-256, in `HEX`")
	f.BoolVar(&o.Grow, "grow", false, "enlarge the last partition and its ext4 to the disk's end; the archive needs e2fsck and resize2fs")
	f.BoolVar(&o.force, "force", false, "write IMAGE though it is not known for a disk image, or does not fit the disk")
	f.StringVar(&o.Via, "via", "writer", "the `WAY` the image gets there: writer or curl")
	f.StringVar(&o.URL, "url", "", "with --via curl: where the device itself gets IMAGE, an http or https `URL`")
	f.DurationVar(&o.Patience, "patience", 5*time.Minute, "give up after this long without any progress, of the device or of whoever sends the image")
}

// checkTogether refuses what does not go together.
func (o *flashOptions) checkTogether() error {
	switch {
	case o.URL != "" && o.Via != "curl":
		return errors.New("--url goes with --via curl")
	case o.Check && o.Via == "curl":
		return errors.New("--check needs the writer, not --via curl")
	case o.Check && (o.Grow || o.Reboot):
		return errors.New("--check writes nothing: it goes with neither --grow nor --reboot")
	}
	return nil
}

// openImage opens the image.
func (o *flashOptions) openImage(ctx context.Context, in *input.Files, path string) (*image.Image, error) {
	var stdin io.Reader
	if path == stdioName {
		var err error
		if stdin, err = in.Stdin(); err != nil {
			return nil, reflash.Unread(err)
		}
	}
	img, err := image.Open(ctx, path, o.sha256, stdin, image.Force(o.force), image.Quiet(o.Patience))
	return img, reflash.Meant(err)
}

func (o *flashOptions) flashHosts(cmd *cobra.Command, hosts []string, path string) error {
	if err := o.checkDevices(cmd.Context(), hosts); err != nil {
		return err
	}
	if err := o.checkTogether(); err != nil {
		return cli.Misused(cmd, err)
	}
	if err := o.checkFiles(cmd.Context()); err != nil {
		return o.refuseAll(cmd, hosts, err)
	}
	img, err := o.openImage(cmd.Context(), inputsOf(cmd), path)
	if err != nil {
		return o.refuseAll(cmd, hosts, swappedArgs(err, hosts, path))
	}
	defer img.Close()
	o.shareAmong(len(hosts))
	if !o.Check { // it is decoded while the devices are being reached: what is wrong with it is known before anything is written
		go img.Ready(cmd.Context(), 0)
	}
	return o.runFleet(cmd, hosts, func(ctx context.Context, h reflash.Host, ssh device.Options) reflash.Outcome {
		return reflash.Flash(ctx, h, img, path, o.forHost(ssh))
	})
}

// shareAmong prepares what so many devices have in common.
func (o *flashOptions) shareAmong(devices int) {
	o.Roll = device.NewRoll(devices)
	if devices > 1 {
		o.Shared = flash.NewShared()
	}
}

// forHost is the options of one device's run.
func (o *flashOptions) forHost(ssh device.Options) *reflash.FlashOptions {
	f := o.FlashOptions
	f.SSH, f.Tool, f.Writer = ssh, "groundhog "+Version, writerFor
	f.ReadArchive = func(path string) (*reflash.Archive, error) { return readPushed(path, defaultMaxSize) }
	return &f
}
