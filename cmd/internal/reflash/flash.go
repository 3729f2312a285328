package reflash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/hint"
)

// FlashOptions say how a waiting device's disk is made equal to an image.
type FlashOptions struct {
	SSH      device.Options
	Roll     *device.Roll  // the devices of this run
	Shared   *flash.Shared // what they compress; nil for a single one
	Target   string        // the disk, as [disk.Choose] has it; "": the recorded, or the only one
	Check    bool          // only compare
	Grow     bool          // enlarge the last partition and its filesystem
	Via      string        // writer or curl
	URL      string        // with curl: where the device gets the image
	Reboot   bool          // at the end
	Patience time.Duration // without any progress

	Tool        string                              // name and version of the program, for the writer
	Writer      func(arch string) ([]byte, error)   // groundhog-writer for one of Debian's architectures; ErrNoWriter
	ReadArchive func(path string) (*Archive, error) // what push recorded
}

// ErrNoWriter is of a program that was built without a writer for an architecture.
var ErrNoWriter = errors.New("this groundhog was built without it")

// Flash makes the disk of a waiting device equal to an image; path is how the image is named.
func Flash(ctx context.Context, h Host, img *image.Image, path string, o *FlashOptions) Outcome {
	return h.tellVerdict(ctx, o.flashDevice(ctx, h, img, path))
}

// flashDevice flashes one device that waits.
func (o *FlashOptions) flashDevice(ctx context.Context, h Host, img *image.Image, path string) runResult {
	defer img.OnLoss(h.tellImage)()
	options, record, err := o.waitingOptions(h.Name)
	if err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	c, err := device.Dial(ctx, h.Name, options)
	if err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	f := flashing{Host: h, at: h.Name, FlashOptions: o, c: c, options: options, record: record, img: img, path: image.Shown(path)}
	defer func() { f.c.Close() }()
	state := askAhead(c, func(c *device.Client) (device.State, error) { return c.State(ctx) })
	f.askFirst(ctx)
	err = f.retryStep(ctx, func() (err error) { f.state, err = state(f.c); return err })
	if err == nil && !f.state.Initramfs {
		err = hint.To(errors.New("a running system answers, not the waiting initramfs"), "groundhog push --reboot HOST ARCHIVE brings it there; groundhog reflash does all of it")
	}
	if err == nil {
		err = f.retryStep(ctx, func() error { return f.identifyDevice(ctx) })
	}
	if err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	r := f.flashDisk(ctx)
	switch {
	case r.err != nil || o.Check:
	case f.gone:
		r.done, r.state = r.done+"; it has rebooted, or left its initramfs, by itself since", Starting
	case !o.Reboot:
		r.done += "; it waits, reboot -f there starts it"
	default:
		if err := f.rebootDevice(ctx); err != nil {
			r.err = err
			break
		}
		r.done, r.state = r.done+"; rebooted", Starting
	}
	return r
}

// Meant adds to a refusal of what an image is how it is written all the same.
func Meant(err error) error {
	if image.MayForce(err) {
		return hint.To(err, "--force writes it all the same")
	}
	return err
}

// waitingOptions is how the initramfs is reached, and what push recorded; nil where it did not.
func (o *FlashOptions) waitingOptions(name string) (device.Options, *device.Record, error) {
	options := o.SSH
	options.User = "root"
	record, err := device.ReadRecord(name)
	if errors.Is(err, fs.ErrNotExist) {
		return options, nil, nil
	}
	if err == nil {
		options = options.OnPort(name, record.Archive.Port)
	}
	if err != nil || o.SSH.HostKey != "" || o.SSH.KnownHosts != nil {
		return options, record, err
	}
	a, err := o.ReadArchive(record.Archive.Path)
	if err == nil && a.SHA256 != record.Archive.SHA256 {
		err = errors.New("it is another one now")
	}
	if err != nil {
		return options, record, hint.To(fmt.Errorf("the archive that was pushed to %s tells its keys, and cannot be read: %s: %w", name, record.Archive.Path, err),
			"put it back there, or say who must answer: --known-hosts FILE (the .known_hosts beside the archive), or --host-key SHA256:...")
	}
	return options.Initramfs(a.Keys).OnPort(name, a.Port), record, nil
}
