package reflash

import (
	"context"
	"errors"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/loader"
)

// Restore undoes a push; roll is the devices of this run.
func Restore(ctx context.Context, h Host, options device.Options, roll *device.Roll) Outcome {
	said, err := restoreDevice(ctx, h.Name, options, roll)
	return h.tellVerdict(ctx, runResult{done: said, state: Restored, err: err})
}

func restoreDevice(ctx context.Context, name string, options device.Options, roll *device.Roll) (string, error) {
	c, state, err := dialSystem(ctx, name, options)
	if err != nil {
		return "", inState(Untouched, err)
	}
	defer c.Close()
	if _, err := askOther(ctx, c, name); err != nil {
		return "", inState(Untouched, err)
	}
	if err := roll.Enter(ctx, name, c, state); err != nil {
		return "", inState(Untouched, err)
	}
	said, err := loader.Restore(ctx, c)
	return said, inState(afterPush(err, loader.Boot{}), err)
}

// afterPush is what a device boots after a transaction that failed: the archive or the original, whenever it was cut off.
// Kexec changes nothing on the disk.
func afterPush(err error, boot loader.Boot) State {
	switch {
	case errors.Is(err, loader.ErrRefused):
		return Untouched
	case errors.Is(err, loader.ErrTakenBack):
		return Restored
	case boot.Way == loader.Kexec:
		return Kexeced
	}
	return Either
}
