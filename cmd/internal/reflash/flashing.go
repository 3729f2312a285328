package reflash

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/flash/image/table"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/hint"
	"groundhog/initrd/show"
)

// flashing is one device that waits in its initramfs, and what goes onto it.
type flashing struct {
	Host
	*FlashOptions
	c       *device.Client // logged in there; its user closes it
	options device.Options // how to log in again
	record  *device.Record // what push kept of it; may be nil
	state   device.State   // of the initramfs
	img     *image.Image
	at      string // where the initramfs answers
	path    string // of the image, for people
	disk    disk.Info
	grown   *enlargedPartition // the partition that fitTable made larger; nil: none
	wrote   string             // under which name this run writes to the disk, "KIND SESSION"

	who    func(*device.Client) (device.Who, error)    // asks who it is
	listed func(*device.Client) (device.Result, error) // asks its writer for its version and its disks
	left   func() []table.Leftover                     // waits for what stands at the disk's end from before; nil: nobody looks
	knows  bool                                        // the device's writer knows how to start a new system by kexec
	met    device.Who                                  // who answered when the flash began
	gone   bool                                        // the boot that was flashed in is over: the device has booted again by itself
}

// enlargedPartition is a partition that is larger on this disk than in the image.
type enlargedPartition struct {
	path  string
	start int64 // bytes, in the image
	size  int64 // bytes
}

// session is this run's own word.
func (f *flashing) session() string {
	_, id, _ := strings.Cut(f.wrote, " ")
	return id
}

// Flashed is what a verdict carries as data.
type Flashed struct {
	flash.Result
	Image       string          `json:"image,omitzero"`       // SHA-256 of the image as it is stored, in hex, if that was worked out
	Content     string          `json:"content,omitzero"`     // hash of its chunks, in hex, if it was read to its end
	Filesystems []diskPartition `json:"filesystems,omitzero"` // recognised on the disk afterwards
	Grown       string          `json:"grown,omitzero"`       // the partition that was enlarged
	Turnaround  []Lap           `json:"turnaround,omitzero"`  // of reflash: how long each part took
	Boot        *Booted         `json:"boot,omitzero"`        // of reflash: how the new system was started
}

// imageNamed says for people which image it was, as far as that is known, and what it was held against.
func (d *Flashed) imageNamed() string {
	if d.Image == "" {
		return d.CheckedAgainst()
	}
	return "sha256 " + d.Image + ", " + d.CheckedAgainst()
}

// flashDisk makes the disk equal to the image, and says what is there then.
func (f *flashing) flashDisk(ctx context.Context) runResult {
	if err := f.retryStep(ctx, func() error { return f.prepareFlash(ctx) }); err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	way := f.byWriter
	if f.Via == "curl" {
		way = f.byPipeline
	}
	r := way(ctx)
	if r.err != nil || f.Check {
		return r
	}
	data := r.data
	if err := f.lookAfterwards(ctx, data); err != nil {
		r.err = err
	} else if data.Grown != "" {
		r.done += "; " + data.Grown + " enlarged"
	}
	return r
}

// askFirst asks the device what has to be known of it in any case. Nothing is changed there.
func (f *flashing) askFirst(ctx context.Context) {
	f.who = askAhead(f.c, func(c *device.Client) (device.Who, error) { return c.Who(ctx) })
	f.listed = askAhead(f.c, func(c *device.Client) (device.Result, error) { return f.listDisks(ctx, c) })
}

// identifyDevice asks the device who it is, before anything is written to it: not another one than push met under this name, and
// not one that another name has led to.
func (f *flashing) identifyDevice(ctx context.Context) error {
	who, err := f.who(f.c)
	if err != nil {
		return err
	}
	f.met = who
	if err := otherDevice(who, f.record, f.Name); err != nil {
		return err
	}
	if f.Check { // nothing is written, not even into the device's memory
		f.Roll.Note(f.Name, f.c, f.state)
		return nil
	}
	return f.Roll.Enter(ctx, f.Name, f.c, f.state)
}

// retryStep takes a step that writes nothing. Where the connection is lost in it, the same boot is logged in to again and the
// step is taken once more, as long as patience lasts.
func (f *flashing) retryStep(ctx context.Context, step func() error) error {
	for end := time.Now().Add(f.Patience); ; {
		err := step()
		if err == nil || !isLoss(err) || errors.Is(err, errListing) || ctx.Err() != nil || !time.Now().Before(end) {
			return err
		}
		f.tellPhase("flash", "%v; trying again", err)
		select {
		case <-time.After(tryAgain):
		case <-ctx.Done():
			return err
		}
		if other := f.reconnect(ctx); other != nil && !isLoss(other) {
			return other
		}
	}
}

// tryAgain is the pause before a step is taken again.
const tryAgain = 250 * time.Millisecond

// prepareFlash finds out what can be known before anything is written.
func (f *flashing) prepareFlash(ctx context.Context) error {
	d, err := f.chooseDisk(ctx)
	if f.Via == "curl" && errors.Is(err, ErrNoWriter) {
		d, err = f.namedDisk(ctx)
	}
	if err != nil {
		return err
	}
	if err := isSane(d.Size, d.Block); err != nil {
		return fmt.Errorf("which disk: %s: %w", d.Path, err)
	}
	f.disk = d
	if size, ok := f.img.Size(); ok && size > d.Size {
		return fmt.Errorf("the image is larger than the disk: %d bytes, %s has %d", size, d.Path, d.Size)
	}
	if err := f.img.Fits(d.Size, d.Block); err != nil {
		return Meant(fmt.Errorf("the image and %s: %w", d.Path, err))
	}
	if !f.Check && f.left == nil {
		f.left = f.lookAtTail(ctx)
	}
	if err := f.checkImage(ctx); err != nil {
		return err
	}
	if f.Grow {
		return f.canGrow(ctx)
	}
	return nil
}

// tailFor bounds the look at the disk's end, which would wait for ever on a disk that does not answer.
const tailFor = 10 * time.Second

// lookAtTail looks at what stands at the disk's end, while other things are done; what it returns waits for that. A look that fails stops nothing: a
// connection that is lost in it shows in what is done besides, and where the disk does not answer the connection is kept for that.
func (f *flashing) lookAtTail(ctx context.Context) func() []table.Leftover {
	n := min(table.TailLen, f.disk.Size) / 512
	at := f.disk.Size/512 - n
	size, block := f.disk.Size, f.disk.Block
	look := fmt.Sprintf("dd if=%s bs=512 skip=%d count=%d 2>/dev/null | gzip -1", device.Quote(f.disk.Path), at, n)
	over := f.c
	left := askAhead(over, func(c *device.Client) ([]table.Leftover, error) {
		said, err := c.Peek(ctx, min(tailFor, f.Patience/2), look)
		if err != nil {
			return nil, err
		}
		z, err := gzip.NewReader(bytes.NewReader(said))
		if err != nil {
			return nil, err
		}
		b := make([]byte, n*512+1)
		if _, err := io.ReadFull(z, b[:n*512]); err != nil {
			return nil, err
		}
		if k, err := z.Read(b[n*512:]); k != 0 || err != io.EOF { // its sum is right
			return nil, err
		}
		b = b[:n*512]
		return table.Left(b, size/512*512, block), nil
	})
	return sync.OnceValue(func() []table.Leftover {
		all, _ := left(over)
		return all
	})
}

// checkImage finds out, before anything is written, what is wrong with an image that is a file on this machine.
func (f *flashing) checkImage(ctx context.Context) error {
	if f.Check {
		return nil
	}
	if f.img.Index() == nil && f.img.Stored() != nil && f.img.Compression() != "raw" {
		f.tellPhase("image", "decoding %s to its end before anything is written", f.path)
	}
	if err := f.img.Ready(ctx, f.disk.Size); errors.Is(err, image.ErrLarger) {
		return f.nameSmallDisk(err)
	} else if err != nil {
		return fmt.Errorf("%w: %w", flash.ErrImage, Meant(err))
	}
	for _, note := range f.img.Notes() {
		f.tellPhase("image", "%s", note)
	}
	return nil
}

// nameSmallDisk names the disk that is too small for the image.
func (f *flashing) nameSmallDisk(err error) error { return fmt.Errorf("%s: %w", f.disk.Path, err) }

// askDisks has the device's writer list its disks; where the archive has none, or one of another protocol, ours is put there before.
func (f *flashing) askDisks(ctx context.Context) ([]disk.Info, error) {
	got, err := f.listed(f.c)
	if err != nil {
		return nil, err
	}
	version, said, _ := strings.Cut(string(got.Stdout), "\n")
	if version != fmt.Sprintf("groundhog-writer, protocol %d", wire.Version) {
		if err := f.sendWriter(ctx, version); err != nil {
			return nil, err
		}
		if got, err = f.listed(f.c); err != nil {
			return nil, err
		}
		_, said, _ = strings.Cut(string(got.Stdout), "\n")
	}
	if err := got.Err("running " + listCommand); err != nil {
		return nil, err
	}
	return disk.Parse([]byte(said))
}

const listCommand = "groundhog-writer disks"

// errListing is that the device's disks were not listed in time. It is not asked again: patience is over.
var errListing = errors.New(listCommand + " has not ended")

// listDisks is what the device's writer says of itself, in a line, and of the disks. A disk that does not answer is not waited for without end.
func (f *flashing) listDisks(ctx context.Context, c *device.Client) (device.Result, error) {
	within, cancel := context.WithTimeout(ctx, f.Patience)
	defer cancel()
	r, err := c.Run(within, "groundhog-writer version && "+listCommand, nil)
	if errors.Is(within.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("%w within --patience, %s: %w", errListing, f.Patience, context.DeadlineExceeded)
	}
	return r, err
}

// sendWriter puts our writer in the place of the archive's, which speaks another version of the protocol.
func (f *flashing) sendWriter(ctx context.Context, version string) error {
	machine, err := f.c.Output(ctx, "uname -m")
	if err != nil {
		return err
	}
	b, err := f.Writer(debianArch(strings.TrimSpace(machine)))
	if err != nil {
		return err
	}
	f.tellPhase("writer", "the device has no groundhog-writer of this protocol (%.60q): sending ours", version)
	// /run is mounted noexec; /sbin is in the initramfs' own memory.
	if err := f.c.Upload(ctx, `cat >/sbin/.groundhog-writer && [ "$(wc -c </sbin/.groundhog-writer)" = `+fmt.Sprint(len(b))+
		` ] && chmod 755 /sbin/.groundhog-writer && mv -f /sbin/.groundhog-writer /sbin/groundhog-writer`, bytes.NewReader(b)); err != nil {
		return err
	}
	f.listed = func(c *device.Client) (device.Result, error) { return f.listDisks(ctx, c) } // what the other one has said does not count any more
	return nil
}

// debianArch is Debian's name of what uname(1) says. A 64-bit kernel may have 32-bit programs, which matters to none
// that is static; the least of the 32-bit ARMs is the one that runs on all of them.
func debianArch(machine string) string {
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

// chooseDisk finds the disk.
func (f *flashing) chooseDisk(ctx context.Context) (disk.Info, error) {
	all, err := f.askDisks(ctx)
	if err != nil {
		return disk.Info{}, err
	}
	var recorded *disk.Identity
	if f.record != nil && f.record.Disk.Size > 0 {
		recorded = &f.record.Disk
	}
	d, err := disk.Choose(all, f.linkedTarget(ctx, all), recorded)
	todo := "--target names it"
	switch {
	case err == nil:
		return d, nil
	case errors.Is(err, disk.ErrSilent):
		todo = "it may answer once the device was off and on again; --target names another disk"
	case errors.Is(err, disk.ErrInUse):
		todo = "log in and free it (umount, swapoff, vgchange -an, mdadm --stop); --target names another disk"
	case errors.Is(err, disk.ErrLocked):
		todo = "many a medium that has come to its end takes no more; --target names another disk"
	case errors.Is(err, disk.ErrInstead):
		todo = "remove that there, and let mknod or a reboot make the device node"
	}
	return d, hint.To(fmt.Errorf("which disk: %w", err), todo)
}

// linkedTarget is --target's value, or the path of the disk to which that leads on the device, /dev/disk/by-id/ata-..., say.
func (f *flashing) linkedTarget(ctx context.Context, all []disk.Info) string {
	if !strings.HasPrefix(f.Target, "/dev/") || slices.ContainsFunc(all, func(d disk.Info) bool { return d.Path == f.Target }) {
		return f.Target
	}
	said, err := f.c.Output(ctx, "readlink -f "+device.Quote(f.Target))
	if to := strings.TrimSpace(said); err == nil && slices.ContainsFunc(all, func(d disk.Info) bool { return d.Path == to }) {
		return to
	}
	return f.Target
}

// namedDisk is the disk that --target names by its path, on a device that has nobody to list disks.
func (f *flashing) namedDisk(ctx context.Context) (disk.Info, error) {
	if !strings.HasPrefix(f.Target, "/dev/") {
		return disk.Info{}, hint.To(errors.New("which disk: the device has no groundhog-writer to list them, and there is none for it"), "--target /dev/... names it")
	}
	d := disk.Info{Identity: disk.Identity{Path: f.Target}}
	path := device.Quote(d.Path)
	said, err := f.c.Output(ctx, "blockdev --getsize64 "+path+" && blockdev --getss "+path)
	if err == nil {
		_, err = fmt.Sscan(said, &d.Size, &d.Block)
	}
	if err == nil {
		err = d.Check()
	}
	if err != nil {
		return d, fmt.Errorf("which disk: %w", err)
	}
	return d, nil
}

// isSane refuses what no disk is: tables are laid out by these figures, and they are a device's word.
func isSane(size, block int64) error {
	if size <= 0 || block < 512 || block > 64<<10 || block&(block-1) != 0 {
		return fmt.Errorf("the device says that it has %d bytes in blocks of %d", size, block)
	}
	return nil
}

// fitTable puts an image's partition table on a disk of another size.
func (f *flashing) fitTable(d protocol.Disk, size int64, first []byte) ([]byte, []chunk.Extent, error) {
	if f.Grow {
		out, extents, g, err := table.Grow(first, size, d.Size, d.Block)
		if err != nil {
			return nil, nil, fmt.Errorf("--grow: %w", err)
		}
		f.grown = &enlargedPartition{table.PartitionPath(f.disk.Path, g.N), g.Start, g.Size}
		return f.clearTail(first, out, size, d, extents)
	}
	out, extents, err := table.Relocate(first, size, d.Size, d.Block)
	if err != nil { // the image is as its maker left it, and so is the disk then
		f.tellPhase("flash", "the partition table stays as it is in the image: %v", err)
		out, extents = first, nil
	}
	return f.clearTail(first, out, size, d, extents)
}

// clearTail adds to the extents zeros over what stands at the disk's end from before.
func (f *flashing) clearTail(first, out []byte, size int64, d protocol.Disk, extents []chunk.Extent) ([]byte, []chunk.Extent, error) {
	zeros, err := table.Clear(first, size, d.Size, d.Block, extents)
	if f.left == nil {
		return out, append(zeros, extents...), err
	}
	for _, l := range f.left() {
		if slices.ContainsFunc(zeros, func(e chunk.Extent) bool { return e.Off <= l.Off && l.Off < e.End() }) {
			f.tellPhase("flash", "cleared at the disk's end, byte %d: %s", l.Off, l.What)
		}
	}
	f.left = func() []table.Leftover { return nil } // it is said once
	return out, append(zeros, extents...), err
}

// loginAgain logs in once more, to the same boot.
func (f *flashing) loginAgain(ctx context.Context) (*device.Client, error) {
	c, err := device.Dial(ctx, f.at, f.options)
	if err != nil {
		return nil, err
	}
	if err := f.checkSameBoot(ctx, c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// checkSameBoot makes sure that it is the boot that was begun with. Another one may be another device's, to which the address leads by now, and where the same
// archive has the same key.
func (f *flashing) checkSameBoot(ctx context.Context, c *device.Client) error {
	now, err := c.State(ctx)
	if err == nil && f.state.BootID != "" && now.BootID != f.state.BootID {
		err = errRebooted
		if who, asked := c.Who(ctx); asked == nil {
			err = cmp.Or(who.Differs(f.met), err)
		}
	}
	return err
}

// reconnect makes sure that f.c works: it keeps the connection that it has, or logs in again. A login costs a slow device a second.
func (f *flashing) reconnect(ctx context.Context) error {
	if f.checkSameBoot(ctx, f.c) == nil {
		return nil
	}
	c, err := f.loginAgain(ctx)
	if err != nil {
		return err
	}
	f.c.Close()
	f.c = c
	return nil
}

var errRebooted = errors.New("the device has rebooted meanwhile")

// hasLeft reports whether an error of logging in again says that the boot that was begun with is over, as far as anybody can tell: another one answers, or another key.
func hasLeft(err error) bool { return errors.Is(err, errRebooted) || errors.Is(err, device.ErrHostKey) }

// mostOrders bounds how often a device is told to reboot that does not say that it does.
const mostOrders = 3

// rebootDevice reboots the device, on whose disk the image is. One that has booted again by itself needs no reboot.
func (f *flashing) rebootDevice(ctx context.Context) error {
	before := device.State{}
	order := func() error {
		return f.retryStep(ctx, func() (err error) {
			if err = f.reconnect(ctx); err == nil {
				before, err = f.c.Reboot(ctx)
			}
			return err
		})
	}
	err := order()
	for n := 1; errors.Is(err, device.ErrUnheard); n++ {
		if n == mostOrders || f.reconnect(ctx) != nil { // it is on its way, as it seems
			err = nil
			break
		}
		err = order() // it still answers: twice does no harm
	}
	if err == nil || errors.Is(err, errRebooted) {
		return nil
	}
	state := notRebooted(ctx, before, Verified, Starting)
	if hasLeft(err) {
		state = Starting
	}
	if errors.Is(err, device.ErrWriting) && strings.Contains(err.Error(), " "+f.disk.Path) {
		state = Replaced
	}
	return inState(state, fmt.Errorf("rebooting: %w", err))
}

// onDisk is the ID of a flash's progress.
const onDisk = "on the disk"

// tellProgress tells how far a flash has come.
func (f *flashing) tellProgress(p flash.Progress) {
	f.Host.tellBytes(onDisk, p.Done, p.Total, show.Bytes(p.Wire)+" sent")
}
