package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/cmd/internal/flash/pack"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/interrupt"
	"groundhog/cmd/internal/sidefile"
	"groundhog/initrd/show"
)

// indexOptions is the command line of `groundhog index`.
type indexOptions struct {
	level              int
	store, sha256      string
	list, clear, force bool
	json               bool
}

func indexCmd() *cobra.Command {
	o := indexOptions{}
	cmd := &cobra.Command{
		Use:   "index [IMAGE]",
		Short: "Pack an image well, for flashes over slow lines",
		Long: `Read an image once, keep what is known of it, and compress it well, in groups of 8 MiB
that a device can decode one by one. flash and reflash send these groups to a device
that has next to nothing of the image: less goes over the line, and nothing is compressed
meanwhile. A chunk of which the device has a part is sent as without them.

The groups are kept in $XDG_CACHE_HOME/groundhog/default.castr, at most ` + show.Bytes(pack.MaxKept) + ` of
them; the image that was used longest ago goes first. They are used for this file as it
is now: once it was changed, index has to read it again.

With --store they are written to DIR/default.castr instead, and DIR/IMAGE.caibx
names them, as casync has it: casync(1), desync and any web server can serve an
image from there. They are readable for you alone, as an image may have secrets
in it; chmod -R a+rX DIR gives them to a server.

zstd(1) packs where it is installed. Without it the library does, a tenth less well.`,
		Example: `  groundhog index disk.img.xz
  groundhog index --list
  groundhog index --clear
  groundhog index disk.img --store /srv/www/images

Exit codes: 0 done; 1 refused: it is no disk image, or its checksum is another; 2 trouble; 130 interrupted.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (o.list || o.clear) == (len(args) > 0):
				return cli.Misused(cmd, errors.New("index takes IMAGE, or --list, or --clear"))
			case o.level < 1 || o.level > 19:
				return cli.Misused(cmd, errors.New("--level is 1 to 19"))
			case o.list:
				return o.listKept(cmd)
			case o.clear:
				kept, err := keptPacks()
				if err != nil {
					return err
				}
				return kept.Prune(0)
			case o.store == "" && (args[0] == stdioName || image.IsURL(args[0])):
				return cli.Misused(cmd, errors.New("what comes through a pipe or from a server is not kept: --store DIR says where to write it"))
			}
			return o.indexImage(cmd, args[0])
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&o.level, "level", pack.Best, "how hard to pack, as zstd(1) has it: 9 is five times as fast and a tenth longer")
	f.StringVar(&o.store, "store", "", "write the groups to `DIR`, for others to serve, and not to the cache")
	f.StringVar(&o.sha256, "sha256", "", "what the image's file must have, in `HEX`")
	f.BoolVar(&o.force, "force", false, "take whatever it is for an image")
	f.BoolVar(&o.list, "list", false, "list what is kept in the cache")
	f.BoolVar(&o.clear, "clear", false, "empty the cache of packed images")
	f.BoolVar(&o.json, "json", false, "report as JSON")
	cmd.MarkFlagsMutuallyExclusive("list", "clear", "store")
	return cmd
}

// indexReport is what --json prints.
type indexReport struct {
	Schema int           `json:"schema"`
	Images []packedImage `json:"images"`
}

type packedImage struct {
	Image   string `json:"image"`
	SHA256  string `json:"sha256"`  // of the decoded image
	Content string `json:"content"` // hash of its chunks, as a verdict of flash has it
	Size    int64  `json:"size"`    // bytes of it
	Packed  int64  `json:"packed"`  // bytes of its groups
	Groups  int    `json:"groups"`
	By      string `json:"by"`              // what packed it
	Index   string `json:"index,omitempty"` // the .caibx, with --store
}

func packedOf(k *pack.Kept) packedImage {
	return packedImage{Image: k.Image, SHA256: k.Decoded, Content: k.Chunks.String(), Size: k.Size, Packed: k.Packed(), Groups: len(k.Groups), By: k.By}
}

// printPacked prints what was packed, or is kept.
func (o *indexOptions) printPacked(w io.Writer, all []packedImage) error {
	if o.json {
		return printJSON(w, indexReport{Schema: outputSchema, Images: all})
	}
	for _, i := range all {
		to := ""
		if i.Index != "" {
			to = ", as " + show.Printable(i.Index) + " has it"
		}
		fmt.Fprintf(w, "%s: %s, packed %s (%s)%s\n", show.Printable(i.Image), show.Bytes(i.Size), show.Bytes(i.Packed), i.By, to)
	}
	return nil
}

// keptPacks is what is kept in the user's cache. The error is that of a cache that cannot be used: what it has is not known then.
func keptPacks() (*pack.Cache, error) {
	s, err := index.Open()
	if err != nil {
		return nil, fmt.Errorf("opening the cache: %w", err)
	}
	return pack.In(s), nil
}

func (o *indexOptions) listKept(cmd *cobra.Command) error {
	packs, err := keptPacks()
	if err != nil {
		return err
	}
	kept, err := packs.List()
	if err != nil {
		return err
	}
	all := []packedImage{}
	for _, k := range kept {
		all = append(all, packedOf(k))
	}
	return o.printPacked(cmd.OutOrStdout(), all)
}

// indexImage packs an image. Who interrupts it ends it in order: temporary files go, and the bar.
func (o *indexOptions) indexImage(cmd *cobra.Command, path string) error {
	ctx, stop := interrupt.Context(cmd.Context(), func() {})
	defer stop()
	err := o.packImage(ctx, cmd, path)
	if err != nil && ctx.Err() != nil {
		return exitCode{exitInterrupted, fmt.Errorf("packing %s: interrupted", image.Shown(path))}
	}
	return err
}

func (o *indexOptions) packImage(ctx context.Context, cmd *cobra.Command, path string) error {
	img, err := image.Open(ctx, path, o.sha256, cmd.InOrStdin(), image.Force(o.force))
	if err != nil {
		return refusalOf(err)
	}
	defer img.Close()
	in := inputsOf(cmd)
	if talkOf(cmd) != talkQuiet {
		defer img.OnLoss(func(text string) { fmt.Fprintln(in.Above(cmd.ErrOrStderr()), show.Printable(text)) })()
	}
	progress, end := in.Watched("packing")
	defer end()
	bar := func(done int64) {
		if total, _ := img.Size(); progress != nil {
			progress(done, total)
		}
	}
	if err := img.Load(ctx); err != nil {
		return refusalOf(fmt.Errorf("reading %s: %w", image.Shown(path), err))
	}
	made, err := o.packGroups(ctx, img, path, bar)
	if errors.Is(err, syscall.ENOSPC) {
		err = hint.To(err, "nothing is left of it; $XDG_CACHE_HOME, or --store DIR, may be where there is room")
	}
	if err != nil || talkOf(cmd) == talkQuiet && !o.json {
		return err
	}
	return reported(cmd.OutOrStdout(), o.printPacked(cmd.OutOrStdout(), []packedImage{made}))
}

func (o *indexOptions) packGroups(ctx context.Context, img *image.Image, path string, progress func(int64)) (packedImage, error) {
	if o.store == "" {
		k, err := img.KeepPack(ctx, o.level, progress)
		if errors.Is(err, image.ErrNotKept) {
			err = hint.To(err, "--store DIR packs it for others to serve")
		}
		if err != nil {
			return packedImage{}, err
		}
		return packedOf(k), nil
	}
	k, to, err := pack.Export(ctx, o.store, image.Base(path), img, o.level, progress)
	if err != nil {
		return packedImage{}, fmt.Errorf("packing into %s: %w", o.store, err)
	}
	if k.Image = image.Shown(path); img.URL() == "" {
		if k.Image, err = filepath.Abs(path); err != nil {
			return packedImage{}, err
		}
	}
	made := packedOf(k)
	made.Index = to
	return made, nil
}

// refusalOf gives an image's error the exit code that flash gives it. An image is refused that is none, or not the one that it
// should be; so is a file of checksums that is not believed.
func refusalOf(err error) error {
	if image.MayForce(err) {
		return exitCode{exitNo, hint.To(err, "--force packs it all the same")}
	}
	for _, no := range []error{image.ErrNoImage, image.ErrChecksum, image.ErrTooLarge, sidefile.ErrKind} {
		if errors.Is(err, no) {
			return exitCode{exitNo, err}
		}
	}
	return err
}
