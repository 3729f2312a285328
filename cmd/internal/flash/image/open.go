package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/cmd/internal/flash/image/sums"
	"groundhog/cmd/internal/hint"
)

// CheckSum refuses what is no SHA-256 in hex.
func CheckSum(sum string) error {
	if !sums.Is(strings.ToLower(sum)) {
		return fmt.Errorf("%q is no SHA-256 in hex", sum)
	}
	return nil
}

// Open opens an image: a file, "-" for stdin, or a URL, http or https. sum, if not empty, is the SHA-256 that
// the file must have as it is stored; without it, that of a local image is looked for in NAME.sha256 and
// SHA256SUMS beside it. A local image is compared with its checksum at once, a stream at its end.
//
// What is no disk image, or of no known kind, or shorter than it says itself, is refused, unless [Force] is among the
// options.
func Open(ctx context.Context, name, sum string, stdin io.Reader, options ...Option) (*Image, error) {
	i := &Image{name: name, want: strings.ToLower(sum), over: make(chan struct{}), stop: func() {}, recent: map[int64][]byte{}, hashing: hashState{passed: map[int64]bool{}}, quiet: defaultQuiet, most: MaxSize}
	i.cond = sync.NewCond(&i.mu)
	for _, o := range options {
		o(i)
	}
	if sum != "" {
		i.against = givenSum
		if err := CheckSum(sum); err != nil {
			return nil, err
		}
	}
	var err error
	switch {
	case name == "-":
		i.in = feedFrom(stdin, i.quiet)
		i.watched, _ = stdin.(*os.File)
	case IsURL(name):
		i.in, err = i.openURL(ctx, name)
	default:
		err = i.openFile()
	}
	if err != nil {
		return nil, err
	}
	if err := i.beginImage(ctx); err != nil {
		i.in.Close()
		return nil, fmt.Errorf("opening image %s: %w", Shown(name), err)
	}
	return i, nil
}

// Option is one of [Open]'s.
type Option func(*Image)

// Force takes anything for an image if on is true.
func Force(on bool) Option { return func(i *Image) { i.force = on } }

func (i *Image) openFile() error {
	f, err := os.OpenFile(i.name, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe is refused, not waited for
	if err != nil {
		if err = fmt.Errorf("opening image: %w", err); strings.Contains(i.name, "://") {
			err = hint.To(err, "an image is a file, an http or https URL, or - for standard input")
		}
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode().Type() != os.ModeDevice {
		err = &fs.PathError{Op: "opening image", Path: i.name, Err: errors.New("neither a file nor a disk")}
		if info.Mode().Type() == fs.ModeNamedPipe {
			err = hint.To(err, "- is standard input, which may be a pipe: groundhog flash HOST - <PIPE")
		}
	}
	if err == nil && i.want == "" {
		i.want, i.against, err = checksumBeside(i.name, info)
	}
	if err != nil {
		f.Close()
		return err
	}
	i.in, i.file, i.watched = &sparseReader{file: f}, f, f
	return nil
}

// beginImage finds out what the image is.
func (i *Image) beginImage(ctx context.Context) error {
	if err := i.watchState(ctx); err != nil {
		return err
	}
	if i.file != nil {
		if i.watched != nil {
			i.store = index.User()
			i.kept = i.store.Get(i.name, i.state)
			if i.kept != nil && i.kept.Stored == "" && i.want != "" { // the checksum that is wanted was not worked out then
				i.kept = nil
			}
		}
		if err := i.checkFile(ctx); err != nil {
			return err
		}
	}
	stored := &storedSum{Hash: sha256.New()}
	how := decodeOptions{lenient: i.force, note: i.noteText}
	if i.file != nil && i.watched != nil {
		how.xz, _ = claim.XZStreams(ctx, i.file, i.state.Size)
		how.read = &i.read
		how.file = io.NewSectionReader(i.file, 0, i.state.Size)
	}
	i.coded = &fruitlessInput{Reader: io.TeeReader(contextReader{ctx, i.in}, stored), most: maxFruitless}
	decoded, compression, err := decodeBy(i.coded, how)
	if err != nil {
		return err
	}
	i.compression, i.hashes = compression, compression == "raw" && i.want != "" && i.kept == nil
	stored.off = compression == "raw" || i.kept != nil && i.want == ""
	err = i.findSize(ctx)
	if err == nil {
		err = i.checkFooter()
	}
	if err != nil {
		decoded.Close()
		return err
	}
	decoded, err = i.sniffBeginning(decoded)
	if err != nil {
		return i.butForChecksum(ctx, err)
	}
	i.packed = i.findPack(ctx)
	if i.file != nil && compression == "raw" {
		i.raw = i.file
	} else if i.spool, err = unnamedFile(i.leastRoom()); err != nil {
		decoded.Close()
		return err
	}
	ctx, i.stop = context.WithCancel(ctx)
	i.wakeAtEnd(ctx)
	i.spoolPartly(ctx)
	i.decode = func() { go i.decodeImage(ctx, decoded, stored) }
	i.undecoded = decoded.Close
	if !i.checksAsItReads() {
		return nil
	}
	err = i.Load(ctx)
	if err != nil {
		i.stop()
	}
	return err
}

// findSize finds out how large the decoded image is, if its headers or its server say so.
func (i *Image) findSize(ctx context.Context) error {
	switch {
	case i.file != nil && i.watched != nil && i.compression == "raw":
		i.claim = i.state.Size
	case i.file != nil && i.watched != nil:
		i.claim, _ = claim.Of(ctx, i.file, i.state.Size, i.compression)
	case i.coming > 0 && i.compression == "raw":
		i.claim = i.coming
	case i.endless && i.want == "" && i.compression == "raw":
		return errEndless
	}
	if i.claim > i.most {
		return fmt.Errorf("%w: it says to have %d bytes, the most is %d", ErrTooLarge, i.claim, i.most)
	}
	return nil
}

// errEndless refuses a body whose end is the connection's, which may be cut anywhere (RFC 9112, section 6.3).
var errEndless = errors.New("the server does not say how long it is, and a download that broke off would pass for a whole one: " +
	"--sha256, or an image that is compressed, tells")
