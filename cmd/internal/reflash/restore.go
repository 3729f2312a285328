package reflash

import (
	"context"
	"errors"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/loader"
)

// Restore undoes a loader.
func Restore(ctx context.Context, h Host, options device.Options) Outcome {
	said, err := restore(ctx, h.Name, options)
	return h.verdict(ctx, said, nil, err)
}

func restore(ctx context.Context, name string, options device.Options) (string, error) {
	c, err := device.Dial(ctx, name, options)
	if err != nil {
		return "", refusal(err)
	}
	defer c.Close()
	if err := c.AsRoot(ctx); err != nil {
		return "", refusal(err)
	}
	if _, err := askOther(ctx, c, name); err != nil {
		return "", refusal(err)
	}
	said, err := loader.Restore(ctx, c)
	if errors.Is(err, loader.ErrRefused) {
		err = refusal(err)
	}
	return said, err
}
