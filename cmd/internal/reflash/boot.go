package reflash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/kexec"
	"groundhog/cmd/internal/loader"
	"groundhog/cmd/internal/push"
)

// How a device comes from its initramfs into the new system.
const (
	ByFirmware = "firmware"
	ByKexec    = "kexec"
)

// Booted is how a device came into its new system.
type Booted struct {
	By       string `json:"by"`              // firmware or kexec
	Why      string `json:"why,omitzero"`    // why by firmware, where kexec was asked for
	Layout   string `json:"layout,omitzero"` // the image's loader, kind of entry and of partition table; "" where they cannot be told
	Firmware bool   `json:"firmware_booted"` // this device has come up by firmware with an image of this layout, now or before
}

const byFirmware = "--boot firmware has the firmware start it"

// Starts is what kexec would start from an image. It is nil where another way was asked for, and for a stream, of which that is known only
// at its end. The error says why kexec can start nothing from it.
func (o *CycleOptions) Starts(ctx context.Context, a *Archive, img *image.Image) (*image.Start, error) {
	switch {
	case o.Boot != ByKexec:
		return nil, nil
	case !mayBeAMD64(a):
		return nil, hint.To(fmt.Errorf("--boot kexec: Debian's kernels for %s have no kexec_file_load", a.Facts.Arch), byFirmware)
	case img.Stored() == nil:
		return nil, nil
	}
	s, err := img.Start(ctx)
	switch {
	case err == nil:
		_, err = kexec.Version(bytes.NewReader(s.Kernel))
	case !errors.Is(err, image.ErrNoKernel):
		return nil, fmt.Errorf("%w: %w", flash.ErrImage, Meant(err))
	}
	if err != nil {
		return nil, hint.To(fmt.Errorf("--boot kexec: %w", err), byFirmware)
	}
	return s, nil
}

// startsEarly is [CycleOptions.Starts] before a device is reached, if the image need not be decoded for it.
func (o *CycleOptions) startsEarly(ctx context.Context, a *Archive, img *image.Image) error {
	if img.Compression() != "raw" && mayBeAMD64(a) {
		return nil
	}
	_, err := o.Starts(ctx, a, img)
	return err
}

// startsBefore is [CycleOptions.Starts] for a device that is about to be pushed to. Where the kernel and the filesystems lie in a compressed image is known only
// when all of it was decoded, which began when it was opened. That is waited for: an image that kexec cannot start is to be refused while the device's old system runs.
// So is one that is too large for its disk, if how large it is was known only then.
func (o *CycleOptions) startsBefore(ctx context.Context, h Host, a *Archive, img *image.Image, f loader.Facts) error {
	if o.Boot == ByKexec && img.Compression() != "raw" && img.Stored() != nil {
		h.tellPhase("kexec", "what kexec is to start is read in the image first, which is decoded for that")
	}
	if _, err := o.Starts(ctx, a, img); err != nil {
		return err
	}
	if size, ok := img.Size(); ok && o.Target == "" {
		if x, larger := push.Larger(f, size); larger {
			return hint.To(errors.New(x.Text), x.Hint)
		}
	}
	return nil
}

// mayBeAMD64 reports whether an archive is for amd64, or does not say what it is for: then the device itself will.
func mayBeAMD64(a *Archive) bool { return a.Facts.Arch == "" || a.Facts.Arch == "amd64" }

// booting is a device's way into the new system.
type booting struct {
	*flashing
	wanted string
	Booted
}

// tryKernel asks the waiting device's kernel, before anything is written, whether it would take the image's.
func (b *booting) tryKernel(ctx context.Context, s *image.Start) error {
	if b.wanted != ByKexec {
		return nil
	}
	if s == nil {
		b.tellPhase("kexec", "the image is a stream: whether kexec can start it is seen when it was written, and else the firmware does")
		return nil
	}
	err := b.retryStep(ctx, func() error {
		r, err := b.runKexec(ctx, "trial", s, bytes.NewReader(s.Kernel))
		if err == nil {
			err = r.Err("trying to load the image's kernel")
		}
		return err
	})
	if err != nil {
		return hint.To(fmt.Errorf("--boot kexec: %w", err), byFirmware)
	}
	b.tellPhase("kexec", "its kernel takes the image's: %s, %q, was loaded and let go of", s.Loader, s.Title)
	return nil
}

// leaveInitramfs leaves the initramfs for the new system. Where kexec fails the device is rebooted.
func (b *booting) leaveInitramfs(ctx context.Context) error {
	b.By = ByFirmware
	if b.gone {
		return nil
	}
	if b.wanted == ByKexec {
		err := b.startNewSystem(ctx)
		switch {
		case err == nil:
			b.By = ByKexec
			return nil
		case ctx.Err() != nil:
			return err
		}
		b.Why = err.Error()
		b.tellPhase("kexec", "kexec cannot start the new system, and the firmware does: %v", err)
	}
	err := b.rebootDevice(ctx)
	if hasLeft(err) {
		b.tellPhase("wait", "it has left its initramfs by itself, as it seems: %v", err)
		return nil
	}
	return err
}

// startNewSystem has the device load the new system's kernel and initramfs, and start them. If the connection is lost before the device has said
// that it does so, the device is asked again. If the boot that waited does not answer any more, the order to start had reached it.
func (b *booting) startNewSystem(ctx context.Context) error {
	s, err := b.img.Start(ctx)
	if err != nil {
		return inState(Verified, err)
	}
	for end := time.Now().Add(b.Patience); ; {
		sent := b.countReader(io.MultiReader(bytes.NewReader(s.Kernel), bytes.NewReader(s.Initrd), strings.NewReader(kexec.Go)), "sent to be started", int64(len(s.Kernel)+len(s.Initrd)+len(kexec.Go)))
		r, err := b.runKexec(ctx, "load", s, sent)
		sent.endCount()
		switch {
		case err == nil && r.Exit == 0 && bytes.Contains(r.Stdout, []byte("starting\n")):
			return nil
		case err == nil && r.Exit == 0:
			return errors.New("the device does not say that it starts the new system")
		case err == nil:
			return r.Err("loading it")
		case ctx.Err() != nil && sent.done == sent.total: // the word, too
			return inState(Starting, err)
		case !isLoss(err) || ctx.Err() != nil:
			return inState(Verified, err)
		}
		b.tellPhase("kexec", "%v; asking again", err)
		if waits, err := b.waitsStill(ctx, end); err != nil || !waits {
			return inState(Starting, err)
		}
	}
}

// waitsStill asks, as long as patience lasts, whether the boot that was to be left still answers.
func (b *booting) waitsStill(ctx context.Context, end time.Time) (bool, error) {
	for {
		select {
		case <-time.After(tryAgain):
		case <-ctx.Done():
			return false, ctx.Err()
		}
		err := b.reconnect(ctx)
		if err == nil {
			return true, nil
		}
		if !isLoss(err) || !time.Now().Before(end) {
			b.tellPhase("kexec", "it does not answer any more, and may be on its way: %v", err)
			return false, nil
		}
	}
}

// runKexec runs groundhog-writer's kexec new, ours where the device's does not know it.
func (b *booting) runKexec(ctx context.Context, what string, s *image.Start, stdin io.Reader) (device.Result, error) {
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	command := fmt.Sprintf("exec groundhog-writer kexec new %s %d %s %d %s %s", what, len(s.Kernel), sum(s.Kernel), len(s.Initrd), sum(s.Initrd), device.Quote(s.Line))
	if !b.knows {
		if err := b.retryStep(ctx, func() error { return b.teachKexec(ctx) }); err != nil {
			return device.Result{}, err
		}
	}
	options := b.options
	options.Silence = max(options.Silence, loadSilence)
	c, err := device.Dial(ctx, b.at, options)
	if err != nil {
		return device.Result{}, err
	}
	defer c.Close()
	if err := b.checkSameBoot(ctx, c); err != nil {
		return device.Result{}, err
	}
	return c.Run(device.Patient(ctx, loadSilence), command, stdin)
}

// teachKexec puts our writer on the device if the archive's is an older one, which does not know the command kexec and only prints its usage.
func (b *booting) teachKexec(ctx context.Context) error {
	r, err := b.c.Run(ctx, "groundhog-writer kexec new", nil)
	if err != nil {
		return err
	}
	if !bytes.Contains(r.Stderr, []byte("kexec new")) {
		if err := b.sendWriter(ctx, strings.TrimSpace(string(r.Stderr))); err != nil {
			return err
		}
	}
	b.knows = true
	return nil
}

// kexecLoader is what a kernel says of who has started it, where that was kexec_file_load (arch/x86/kernel/kexec-bzimage64.c).
const kexecLoader = "208"

// askArrived asks the new system who has started it, where that is not certain.
func (b *booting) askArrived(ctx context.Context, c *device.Client) {
	if b.By != ByKexec {
		return
	}
	said, err := c.Output(ctx, "cat /proc/sys/kernel/bootloader_type")
	if said = strings.TrimSpace(said); err == nil && said != "" && said != kexecLoader {
		b.By, b.Why = ByFirmware, "kexec was begun, and the new system says that a boot loader has started it"
	}
}

// noteFirmwareBoot notes whether this device has come up by firmware with an image of this layout before, and keeps it for the next time. An error is
// no error of the run: the system is up.
func (b *booting) noteFirmwareBoot(ctx context.Context) {
	layout, err := b.img.Layout(ctx)
	if err != nil {
		return
	}
	b.Layout = layout
	record, err := device.ReadRecord(b.Name)
	if err != nil { // it was pushed to from elsewhere
		b.Firmware = b.By == ByFirmware
		return
	}
	b.Firmware = slices.Contains(record.Firmware, layout)
	if b.By != ByFirmware || b.Firmware {
		return
	}
	b.Firmware = true
	record.Firmware = append(record.Firmware, layout)
	if _, err := record.Save(); err != nil {
		b.tellPhase("wait", "noting that it comes up by firmware: %v", err)
	}
}

// howBooted is how the verdict tells it: nothing for a boot by firmware that was asked for.
func (b *booting) howBooted() string {
	switch {
	case b.By == ByKexec && b.Firmware:
		return "; booted by kexec; this layout has come up by firmware here before"
	case b.By == ByKexec:
		return "; booted by kexec; this layout has not come up by firmware here before"
	case b.Why != "":
		return "; booted by the firmware: " + b.Why
	}
	return ""
}
