package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
)

// flashOptions is the command line of `groundhog flash`.
type flashOptions struct {
	remote
	parallel int
	target   string
	sha256   string
	check    bool
	reboot   bool
	patience time.Duration
}

func flashCmd() *cobra.Command {
	var o flashOptions
	cmd := &cobra.Command{
		Use:   "flash HOST... IMAGE",
		Short: "Make the disk of devices that wait in their initramfs equal to an image",
		Long: `Make the disk of waiting devices (groundhog push --reboot) equal to a disk image. HOST
is [user@]host[:port]. IMAGE is raw, or compressed with gzip, xz, zstd, bzip2 or
lz4: a file, an http or https URL, or - for standard input. It is decoded once.

The device compares its disk with the image, chunk by chunk of 1 MiB; what differs is
sent, written and read back from the medium; the first chunk, with the partition table,
comes last. A lost connection is made again, and what was verified stays. A GPT's backup is put where
the disk ends. Success is said of what was read back, and of nothing else.

The disk is the one that push recorded as the system's, else the only one that is not
removable. An image's SHA-256 comes from --sha256, or from IMAGE.sha256 or SHA256SUMS
beside it. What is known of a local image is kept in IMAGE.groundhog-index.

Host keys: those of the archive that push recorded, else known_hosts.`,
		Example: `  groundhog flash root@bench-1 disk.img.xz --reboot
  groundhog flash root@bench-1 disk.img --check
  groundhog flash root@bench-1 disk.img --target serial:S3Z9NB0K

Exit codes: 0 verified, or with --check equal; 1 refused or, with --check, different:
nothing was written; 2 trouble, the last line says what state the device is in;
130 interrupted. Of several devices: the worst.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[:len(args)-1], args[len(args)-1])
		},
	}
	o.remote.flags(cmd)
	o.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.check, "check", false, "only compare, write nothing")
	f.BoolVar(&o.reboot, "reboot", false, "reboot the device at the end; without it, it keeps waiting")
	return cmd
}

// flags is what flash and reflash share.
func (o *flashOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.target, "target", "", "write to `DISK`: a path, or serial:, cid: or ptuuid: and its value")
	f.StringVar(&o.sha256, "sha256", "", "the image's file must have this SHA-256, in `HEX`")
	f.DurationVar(&o.patience, "patience", 5*time.Minute, "give up after this long without any progress")
	f.IntVar(&o.parallel, "parallel", 4, "at most `N` devices at once")
}

func (o *flashOptions) run(cmd *cobra.Command, hosts []string, path string) error {
	img, err := image.Open(cmd.Context(), path, o.sha256, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer img.Close()
	r := o.reporter(cmd, len(hosts))
	defer r.close()
	return fleet(cmd, hosts, o.parallel, func(ctx context.Context, name string) int {
		h := host{r, name}
		done, result, err := o.one(ctx, h, img, path)
		return h.verdict(ctx, err, done, result)
	})
}

// one flashes one device that waits.
func (o *flashOptions) one(ctx context.Context, h host, img *image.Image, path string) (string, any, error) {
	options, record, err := o.waiting(h.name)
	if err != nil {
		return "", nil, refusal(err)
	}
	c, err := device.Dial(ctx, h.name, options)
	if err != nil {
		return "", nil, refusal(err)
	}
	defer c.Close()
	state, err := c.State(ctx)
	if err == nil && !state.Initramfs {
		err = hinted{errors.New("a running system answers, not the waiting initramfs"), "groundhog push --reboot HOST ARCHIVE brings it there; groundhog reflash does all of it"}
	}
	if err != nil {
		return "", nil, refusal(err)
	}
	return o.waited(ctx, h, c, options, record, state, img, path)
}

// waiting is how the initramfs is reached, and what push recorded; nil where it did not.
func (o *flashOptions) waiting(name string) (device.Options, *device.Record, error) {
	options := o.options()
	options.User = "root"
	record, err := device.ReadRecord(name)
	if errors.Is(err, fs.ErrNotExist) {
		return options, nil, nil
	}
	if err != nil || o.hostKey != "" || o.knownHosts != nil {
		return options, record, err
	}
	a, err := readPushed(record.Archive.Path, int64(defaultMaxSize))
	if err == nil && a.input.SHA256 != record.Archive.SHA256 {
		err = errors.New("it is another one now")
	}
	if err != nil { // known_hosts may know the device
		return options, record, nil
	}
	return options.Initramfs(a.keys), record, nil
}

// waited flashes a device that is known to wait.
func (o *flashOptions) waited(ctx context.Context, h host, c *device.Client, options device.Options, record *device.Record,
	state device.State, img *image.Image, path string) (string, any, error) {
	if err := ready(ctx, h, c); err != nil {
		return "", nil, refusal(err)
	}
	d, err := o.choose(ctx, c, record)
	if err != nil {
		return "", nil, refusal(err)
	}
	h.phase("flash", "comparing %s with %s", d, path)
	job := flash.Job{Source: img, Disk: d.Path, Who: whoami(), Session: rand.Text(), Tool: "groundhog " + Version, Check: o.check,
		Patience: o.patience, Say: func(s string) { h.phase("flash", "%s", s) }, Progress: h.flashed(),
		Fit: func(d protocol.Disk, size int64, first []byte) ([]byte, []flash.Extent, error) {
			out, extents, err := image.Relocate(first, size, d.Size, d.Block)
			if err != nil { // the image is as its maker left it, and so is the disk then
				h.phase("flash", "the partition table stays as it is in the image: %v", err)
				return first, nil, nil
			}
			return out, extents, nil
		},
		Connect: connector(h.name, c, options, state)}
	r, err := flash.Run(ctx, job)
	if err != nil {
		return "", r, flashError(h.name, r, err)
	}
	text := fmt.Sprintf("%s is equal to %s: %.1f MB compared, nothing written", d.Path, path, float64(r.Size)/1e6)
	if o.check {
		return text, r, nil
	}
	text = fmt.Sprintf("verified: %s has %s (sha256 %s), %.1f MB in %.1f s, %.1f MB/s; %.1f MB sent for %d chunks, %d were there, %d zeroed",
		d.Path, path, img.SHA256(), float64(r.Size)/1e6, r.Seconds, float64(r.Size)/1e6/r.Seconds, float64(r.Sent)/1e6, r.Written, r.Same, r.Zeroed)
	if !o.reboot {
		return text + "; it waits, reboot -f there starts it", r, nil
	}
	if err := restart(ctx, h.name, options, state); err != nil {
		return "", r, hinted{fmt.Errorf("%s; rebooting it: %w", text, err), "the image is on the disk; the device wants a reboot"}
	}
	return text + "; rebooted", r, nil
}

// restart reboots a waiting device over a connection of its own: the one before may have gone meanwhile.
func restart(ctx context.Context, name string, options device.Options, state device.State) error {
	c, err := device.Dial(ctx, name, options)
	if err != nil {
		return err
	}
	defer c.Close()
	before, err := c.Reboot(ctx)
	if err == nil && before.BootID != state.BootID {
		err = errors.New("it has rebooted before it was told to")
	}
	return err
}

// flashError says what the device is now.
func flashError(name string, r flash.Result, err error) error {
	if errors.Is(err, flash.ErrDiffers) {
		return refusal(err)
	}
	switch r.State {
	case flash.Untouched:
		return refusal(fmt.Errorf("%w; nothing was written", err))
	case flash.Waiting:
		return hinted{fmt.Errorf("%w; %s waits in its initramfs, its disk is neither the old nor the new one", err, name), "the same flash goes on where this one stopped"}
	}
	return hinted{fmt.Errorf("%w; what is on the disk of %s is not known", err, name), "if it was writing it waits in its initramfs: the same flash goes on"}
}

// connector makes lines to a writer: the first over the connection that there is.
func connector(name string, first *device.Client, options device.Options, state device.State) func(context.Context) (io.ReadWriteCloser, error) {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		c := first
		if first = nil; c == nil {
			var err error
			if c, err = device.Dial(ctx, name, options); err != nil {
				return nil, lasting(err)
			}
			now, err := c.State(ctx)
			if err == nil && now.BootID != state.BootID {
				err = flash.Permanent(errors.New("the device has rebooted"))
			}
			if err != nil {
				c.Close()
				return nil, err
			}
		}
		p, err := c.Start(ctx, "exec groundhog-writer serve")
		if err != nil {
			c.Close()
			return nil, err
		}
		return &lineToWriter{p, c}, nil
	}
}

// lasting marks what another try does not change.
func lasting(err error) error {
	if errors.Is(err, device.ErrHostKey) || errors.Is(err, device.ErrAuth) {
		return flash.Permanent(err)
	}
	return err
}

// lineToWriter is a writer that runs on the device.
type lineToWriter struct {
	p *device.Process
	c *device.Client
}

func (l *lineToWriter) Read(b []byte) (int, error) {
	n, err := l.p.Stdout.Read(b)
	if err == io.EOF {
		if said := strings.TrimSpace(l.p.Stderr()); said != "" {
			return n, fmt.Errorf("the writer ended: %s", said)
		}
	}
	return n, l.why(err)
}

func (l *lineToWriter) Write(b []byte) (int, error) {
	n, err := l.p.Stdin.Write(b)
	return n, l.why(err)
}

func (l *lineToWriter) why(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return l.p.Cause(err)
}

func (l *lineToWriter) Close() error { return l.c.Close() }

// ready puts our writer there where the archive has none, or one of another protocol.
func ready(ctx context.Context, h host, c *device.Client) error {
	want := fmt.Sprintf("groundhog-writer, protocol %d", wire.Version)
	got, err := c.Run(ctx, "groundhog-writer version", nil)
	if err != nil || strings.TrimSpace(string(got.Stdout)) == want {
		return err
	}
	machine, err := c.Output(ctx, "uname -m")
	if err != nil {
		return err
	}
	arch := architecture(strings.TrimSpace(machine))
	b, err := writerFor(arch)
	if err != nil {
		return err
	}
	h.phase("writer", "the device has no groundhog-writer of this protocol (%.60q): sending ours", strings.TrimSpace(string(got.Stdout)))
	// /run is mounted noexec; /sbin is in the initramfs' own memory.
	return c.Upload(ctx, `cat >/sbin/.groundhog-writer && [ "$(wc -c </sbin/.groundhog-writer)" = `+fmt.Sprint(len(b))+
		` ] && chmod 755 /sbin/.groundhog-writer && mv -f /sbin/.groundhog-writer /sbin/groundhog-writer`, bytes.NewReader(b))
}

// architecture is Debian's name of what uname(1) says. A 64-bit kernel may have 32-bit programs, which matters to none
// that is static; the least of the 32-bit ARMs is the one that runs on all of them.
func architecture(machine string) string {
	switch {
	case machine == "x86_64":
		return "amd64"
	case machine == "aarch64":
		return "arm64"
	case strings.HasPrefix(machine, "armv7"), strings.HasPrefix(machine, "armv6"):
		return "armhf"
	case strings.HasPrefix(machine, "arm"):
		return "armel"
	}
	return machine
}

// choose finds the disk.
func (o *flashOptions) choose(ctx context.Context, c *device.Client, record *device.Record) (disk.Info, error) {
	said, err := c.Output(ctx, "groundhog-writer disks")
	if err != nil {
		return disk.Info{}, err
	}
	var all []disk.Info
	if err := json.Unmarshal([]byte(said), &all); err != nil {
		return disk.Info{}, fmt.Errorf("the device's list of disks: %w", err)
	}
	var recorded *disk.Info
	if record != nil && record.Disk.Size > 0 {
		r := record.Disk
		recorded = &disk.Info{Path: r.Path, Size: r.Size, Model: r.Model, Serial: r.Serial, CID: r.CID, PTUUID: r.PTUUID}
	}
	d, err := disk.Choose(all, o.target, recorded)
	if err != nil {
		return d, hinted{fmt.Errorf("which disk: %w", err), "--target names it"}
	}
	return d, nil
}

// flashed tells how far a flash has come.
func (h host) flashed() func(flash.Progress) {
	var next time.Time
	return func(p flash.Progress) {
		now := time.Now()
		if now.Before(next) {
			return
		}
		if !next.IsZero() {
			text := fmt.Sprintf("on the disk: %.1f MB", float64(p.Done)/1e6)
			if p.Total > 0 {
				text = fmt.Sprintf("on the disk: %.1f of %.1f MB", float64(p.Done)/1e6, float64(p.Total)/1e6)
			}
			h.tell(event{Host: h.name, Event: "progress", ID: "flash", Bytes: p.Done, Total: p.Total, Text: fmt.Sprintf("%s, %.1f MB sent", text, float64(p.Wire)/1e6)})
		}
		next = now.Add(progressEvery)
	}
}

// whoami is for whoever finds the device taken.
func whoami() string {
	name, _ := os.Hostname()
	if u, err := user.Current(); err == nil {
		name = u.Username + "@" + name
	}
	return fmt.Sprintf("%s, process %d", name, os.Getpid())
}
