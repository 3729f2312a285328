package reflash

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/plain"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/interrupt"
)

// diskPartition is a filesystem that was recognised on the disk.
type diskPartition struct {
	Path  string `json:"path"`  // /dev/vda1
	Type  string `json:"type"`  // as blkid(8) names it: ext4, vfat, ...
	Label string `json:"label"` // may be empty
}

//go:embed partitions.sh
var partitionsScript string

//go:embed grow.sh
var growScript string

// canGrow refuses --grow where the archive lacks a tool, or the image's last partition is none to enlarge.
func (f *flashing) canGrow(ctx context.Context) error {
	r, err := f.c.Run(ctx, "for t in e2fsck resize2fs blkid; do command -v $t >/dev/null || echo $t; done", nil)
	if err != nil {
		return err
	}
	if missing := strings.Join(strings.Fields(string(r.Stdout)), ", "); missing != "" || r.Exit != 0 {
		return hint.To(fmt.Errorf("--grow: the initramfs has no %s", missing), "groundhog patch --tool e2fsck --tool resize2fs puts them in")
	}
	first, err := f.img.ReadFirst(ctx, chunk.Size)
	if err != nil {
		return err
	}
	size, _ := f.img.Size()
	left := f.left
	f.left = nil // nothing is cleared yet, nor said to be
	defer func() { f.left = left }()
	if _, _, err = f.fitTable(protocol.Disk{Size: f.disk.Size, Block: f.disk.Block}, size, first); err != nil {
		return err
	}
	kind, err := f.img.Filesystem(ctx, f.grown.start)
	if err == nil && kind != "ext" {
		err = fmt.Errorf("--grow: the last partition has %s: only ext2, ext3 and ext4 can be enlarged here", cmp.Or(kind, "no filesystem that is known"))
	}
	return err
}

// lookAfterwards looks at the disk as the device sees it now, and enlarges what --grow asks for. The look is a courtesy: where it
// fails, the image is on the disk all the same.
func (f *flashing) lookAfterwards(ctx context.Context, data *Flashed) error {
	err := f.retryStep(ctx, func() (err error) {
		data.Filesystems, err = f.recogniseFilesystems(ctx)
		return err
	})
	f.gone = hasLeft(err)
	switch {
	case f.gone && f.Grow:
		return inState(Starting, fmt.Errorf("looking at the disk afterwards: %w", err))
	case err != nil && (f.Grow || ctx.Err() != nil):
		return inState(Verified, fmt.Errorf("looking at the disk afterwards: %w", err))
	case err != nil:
		f.tellPhase("filesystems", "looking at the disk afterwards: %v", err)
		return nil
	}
	var seen []string
	for _, p := range data.Filesystems {
		seen = append(seen, strings.TrimSpace(p.Path+" "+p.Type+" "+p.Label))
	}
	if len(seen) == 0 {
		seen = append(seen, "none that blkid knows")
	}
	f.tellPhase("filesystems", "filesystems on it: %s", strings.Join(seen, ", "))
	if f.Grow {
		return f.enlargeFilesystem(ctx, data)
	}
	return nil
}

// recogniseFilesystems lists the filesystems on the disk.
func (f *flashing) recogniseFilesystems(ctx context.Context) ([]diskPartition, error) {
	r, err := f.c.Script(ctx, partitionsScript, nil, f.disk.Path)
	if err == nil {
		err = r.Err("listing filesystems")
	}
	if err != nil {
		return nil, err
	}
	return parsePartitions(string(r.Stdout)), nil
}

// maxPartitions bounds what is listed of a disk: a GPT has 128 entries (UEFI specification, 5.3).
const maxPartitions = 128

// parsePartitions reads what the script prints; what has no type is left out.
func parsePartitions(said string) (all []diskPartition) {
	var p diskPartition
	add := func() {
		if p.Type != "" && len(all) < maxPartitions {
			all = append(all, p)
		}
	}
	for line := range strings.Lines(said) {
		line = strings.TrimSuffix(line, "\n")
		if path, ok := strings.CutPrefix(line, "device "); ok {
			add()
			p = diskPartition{Path: path}
			continue
		}
		switch name, value, _ := strings.Cut(line, "="); name {
		case "TYPE":
			p.Type = value
		case "LABEL":
			p.Label = value
		}
	}
	add()
	return all
}

// stateUngrown is the state after an enlarging that failed: the device says of a disk on which it was begun that it is written to.
func (f *flashing) stateUngrown(ctx context.Context) State {
	ctx, cancel := interrupt.Asking(ctx, askFor)
	defer cancel()
	o := observedState{}
	c, err := f.loginAgain(ctx)
	switch {
	case errors.Is(err, errRebooted):
		return Rebooted
	case err != nil:
		return Unknown
	}
	defer c.Close()
	f.askDisk(ctx, c, f.wrote, "grow "+f.session(), &o)
	switch known := o.ours || o.old; {
	case o.held, o.disk != "" && o.disk != writer.StateNone && !known:
		return Replaced
	case o.disk == writer.StateWriting:
		return Waiting
	case o.disk == writer.StateVerified:
		return Verified
	}
	return Unknown
}

// enlargeFilesystem has the filesystem in the enlarged partition fill it.
func (f *flashing) enlargeFilesystem(ctx context.Context, data *Flashed) error {
	if f.grown == nil {
		return nil
	}
	path := f.grown.path
	// e2fsck and resize2fs are silent, and read all of a large filesystem's tables.
	var r device.Result
	var err error
	for end := time.Now().Add(f.Patience); ; {
		r, err = f.c.Script(device.Patient(ctx, time.Hour), plain.Writing+growScript, nil, f.disk.Path, path, fmt.Sprint(f.grown.size), f.wrote, whoami())
		if err == nil {
			err = r.Err("enlarging " + path)
		}
		if err == nil || !isGoing(err.Error()) && !strings.HasSuffix(err.Error(), ": "+whoami()) || !time.Now().Before(end) {
			break
		}
		select { // somebody asks for the disk's state, or our own writer is about to end: both take a moment
		case <-time.After(tryAgain):
		case <-ctx.Done():
		}
	}
	if err == nil && !strings.Contains(string(r.Stdout), "grown") {
		err = errors.New("enlarging " + path + ": the device does not say that it is done")
	}
	if err != nil {
		return inState(f.stateUngrown(ctx), hint.To(err, "the image was verified before that; the same flash puts it there again"))
	}
	data.Grown = path
	return nil
}
