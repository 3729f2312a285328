package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/cmd/internal/flash/pack"
	"groundhog/cmd/internal/flash/protocol"
)

// Pack is the image as it was packed beforehand: what `groundhog index` has kept, or the file itself if it is a .zst. Any other image is
// packed while it is sent, if the line is slow.
func (i *Image) Pack() pack.Pack { return i.packed }

// ErrNotKept says that nothing can be kept of an image: there is no cache that only this user can write to, the image is no regular file, or
// its filesystem would not show that it was changed.
var ErrNotKept = errors.New("nothing is kept of this image")

// KeepPack packs an image that was loaded into the user's cache, unless the cache has it.
func (i *Image) KeepPack(ctx context.Context, level int, progress func(done int64)) (*pack.Kept, error) {
	if i.file == nil || i.watched == nil || i.store.Get(i.name, i.state) == nil {
		_, err := index.Open()
		if err = cmp.Or(err, i.unlasting); err != nil {
			err = fmt.Errorf("%w: %w", ErrNotKept, err)
		}
		return nil, cmp.Or(err, ErrNotKept)
	}
	return pack.In(i.store).Keep(ctx, i.name, i, level, progress)
}

// findPack looks for it.
func (i *Image) findPack(ctx context.Context) pack.Pack {
	if i.file == nil || i.watched == nil {
		return pack.NewLive(i)
	}
	if i.kept != nil {
		if p := pack.In(i.store).Of(i.name, i.kept.Chunks); p != nil {
			return p
		}
	}
	if i.compression == "zstd" {
		if frames, window := claim.Frames(ctx, i.file, i.state.Size); len(frames) > 0 && window <= protocol.MaxWindow {
			return pack.NewFile(i.file, frames, window)
		}
	}
	return pack.NewLive(i)
}
