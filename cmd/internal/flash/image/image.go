package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/cmd/internal/flash/image/sniff"
	"groundhog/cmd/internal/flash/pack"
)

// Errors of an image.
var (
	ErrNoImage  = sniff.ErrNoImage
	ErrUnknown  = sniff.ErrUnknown
	ErrFit      = sniff.ErrFit
	ErrChecksum = errors.New("the image's checksum is another")
	ErrChanged  = errors.New("the image changed while it was read")
	ErrClaim    = errors.New("the image is not as large as its file says")
	ErrTooLarge = errors.New("the image is larger than any that is taken")
	ErrLarger   = errors.New("the image is larger than the disk")
)

// MayForce reports whether an image that is refused for an error is taken with [Force]. Nothing, which a pipe brings whose other end failed, never is.
func MayForce(err error) bool {
	return !errors.Is(err, sniff.ErrEmpty) && (errors.Is(err, ErrNoImage) || errors.Is(err, ErrUnknown) || errors.Is(err, ErrFit) || errors.Is(err, ErrTrailing))
}

// MaxSize bounds a decoded image, in bytes. A small file that decodes to zeros for ever takes no room where images are kept, but what is known of
// its chunks takes memory: half a GiB for an image of MaxSize.
const MaxSize = 8 << 40

// Image is a disk image that is decoded once, however many devices it goes to: what is decoded
// stays in an unnamed file, of which raw images have no need. It is safe for concurrent use.
type Image struct {
	name        string
	compression string
	force       bool          // it is taken whatever it is
	quiet       time.Duration // how long who sends it may say nothing
	is          *sniff.Image  // what it is, by its beginning; nil: nobody knows, and force is on
	in          io.ReadCloser // as it is stored
	raw         io.ReaderAt   // a raw image's own file; nil: the spool has the decoded bytes
	file        *os.File      // a local image; nil for a stream
	watched     *os.File      // the regular file that it comes from, which must not change: file, or what standard input is; or nil
	state       index.File    // that watched was in when it was opened
	coming      int64         // bytes that the server says it sends; 0 unknown
	losses      losses        // of the connection to the server
	endless     bool          // it ends where a connection does, whole or not
	unlasting   error         // why a later change of the file need not show in its state; nil if it will
	want        string        // SHA-256 that what is stored must have, in hex; "" unknown
	against     string        // where want is from; "" nowhere
	stored      string        // SHA-256 of what is stored, once it is known

	start     sync.Once
	decode    func()
	undecoded func() error // ends the decoder where decode, which would, was never called
	stop      context.CancelFunc
	over      chan struct{} // closed when nothing decodes any more
	store     *index.Store
	kept      *index.Index    // from the store
	coded     *fruitlessInput // what decode reads
	most      int64           // bytes that it may have, decoded
	claim     int64           // bytes that a raw file has, or a compressed one says to have; 0 unknown
	packed    pack.Pack       // nil: it was not packed
	read      atomic.Int64    // bytes of a .zst file that were decoded

	mu       sync.Mutex
	cond     *sync.Cond
	spool    *os.File
	spooled  int64            // length that spool was made; its writer's alone
	spooling spooling         // the decoder, as it writes to spool
	partial  atomic.Bool      // spool has only some of the chunks
	filling  sync.Mutex       // held while spool gets the others
	fill     func() error     // has it get them
	chunks   []chunk.Chunk    // so far
	recent   map[int64][]byte // data of the last of these chunks, by number
	hashing  hashState
	hashes   bool       // a raw image's SHA-256 is worked out as it is read, to be compared with want
	demand   int64      // the last chunk that somebody waited for
	complete bool       // chunks are all there are
	look     sync.Mutex // held while the file is read once more
	starts   startInfo  // what it would start by itself, once somebody asked
	keys     foundKeys
	notes    []string
	zeros    []bool // by chunk: whether one that is zeros by kept was found to be
	done     bool
	err      error
}

// Size is the decoded image's size in bytes, and whether that is known; where it is not it is the size so far. As long as the image was not decoded
// it is what others say: a raw file's length, the index, a compressed file's headers. [Image.Walk] ends well
// at that size only, so it is good for refusing what does not fit, and for progress.
func (i *Image) Size() (int64, bool) {
	if i.kept != nil {
		return chunk.End(i.kept.Chunks), true
	}
	if i.claim > 0 {
		return i.claim, true
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return chunk.End(i.chunks), i.done
}

// Index is all chunks, nil until they are known.
func (i *Image) Index() []chunk.Chunk {
	if i.kept != nil {
		return i.kept.Chunks
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.done {
		return nil
	}
	return i.chunks
}

// Again reports that the image can be read more than once: what was decoded is kept.
func (i *Image) Again() bool { return true }

// Compression is "raw" or a compression's name.
func (i *Image) Compression() string { return i.compression }

// Sum is the SHA-256 of the image as it is stored, in hex: what sha256sum(1) has of its file. It is known once the image was read to its end, or
// from the kept index; "" before. Of a raw image that is to have no checksum nobody works it out: that would take longer than to find what
// differs on a disk, most of all where the processor has no instructions for it.
func (i *Image) Sum() string {
	if i.kept != nil {
		return i.kept.Stored
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.done {
		return ""
	}
	return i.stored
}

// Content is a hash of the image's chunks in hex, the same for all images of one content, however they are stored; "" as long as it is not
// known to its end.
func (i *Image) Content() string {
	all := i.Index()
	if all == nil {
		return ""
	}
	sum := chunk.SumOfAll(all)
	return hex.EncodeToString(sum[:])
}

// DecodedSum is the SHA-256 of the decoded image, in hex. A raw image's is its Sum, if that is known; any other is worked out now, by reading what was
// decoded once more.
func (i *Image) DecodedSum(ctx context.Context) (string, error) {
	if err := i.Load(ctx); err != nil {
		return "", err
	}
	if sum := i.Sum(); i.compression == "raw" && sum != "" {
		return sum, nil
	}
	whole := sha256.New()
	err := i.Walk(ctx, nil, func(c chunk.Chunk, data []byte) error {
		if data == nil {
			chunk.WriteZeros(whole, c.Len)
			return nil
		}
		whole.Write(data)
		chunk.Free(data)
		return nil
	})
	return hex.EncodeToString(whole.Sum(nil)), err
}

// Load decodes the image to its end.
func (i *Image) Load(ctx context.Context) error { return i.LoadFor(ctx, 0) }

// LoadFor is Load for a disk of so many bytes: it ends with [ErrLarger] as soon as a chunk lies behind the disk. 0 is no disk.
func (i *Image) LoadFor(ctx context.Context, disk int64) error {
	if i.kept != nil {
		return nil
	}
	return i.Walk(ctx, func(n int64) bool { return disk > 0 && n*chunk.Size >= disk }, func(chunk.Chunk, []byte) error {
		return fmt.Errorf("%w: it has more than its %d bytes", ErrLarger, disk)
	})
}

// Walk calls each, in order, for the chunks that want reports true of, or for all where want is nil. It waits for what is not decoded yet, and ends
// well only where the image's file is what it was when it was opened.
func (i *Image) Walk(ctx context.Context, want func(int64) bool, each func(chunk.Chunk, []byte) error) error {
	if i.kept == nil || i.raw == nil {
		i.start.Do(i.decode)
	}
	stop := i.wakeAtEnd(ctx)
	defer stop()
	for n := int64(0); ; n++ {
		c, more, err := i.awaitChunk(ctx, n, &i.done)
		if err == nil && !more {
			return i.checkUnchanged(ctx)
		}
		if err == nil && c.Zero && i.kept != nil && i.raw != nil {
			err = i.checkZero(c)
		}
		if err != nil {
			return err
		}
		if want != nil && !want(n) {
			i.dropData(n)
			continue
		}
		var data []byte
		if !c.Zero {
			if data = i.takeData(ctx, n); data == nil {
				data, err = i.readChunk(c)
			}
			if err != nil {
				return err
			}
		}
		if err := each(c, data); err != nil {
			return err
		}
	}
}

// wakeAtEnd has whoever waits for chunks look again when ctx ends.
func (i *Image) wakeAtEnd(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { i.mu.Lock(); i.cond.Broadcast(); i.mu.Unlock() })
}

// awaitChunk waits for chunk n. It is false where the image ends before that chunk; *end, which mu guards, says that no more comes.
func (i *Image) awaitChunk(ctx context.Context, n int64, end *bool) (chunk.Chunk, bool, error) {
	if i.kept != nil && i.raw != nil {
		if n >= int64(len(i.kept.Chunks)) {
			return chunk.Chunk{}, false, nil
		}
		return i.kept.Chunks[n], true, ctx.Err()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.noteDemand(n)
	for {
		switch {
		case ctx.Err() != nil:
			return chunk.Chunk{}, false, ctx.Err()
		case n < int64(len(i.chunks)):
			return i.chunks[n], true, nil
		case i.err != nil:
			return chunk.Chunk{}, false, i.err
		case *end:
			return chunk.Chunk{}, false, nil
		}
		i.cond.Wait()
	}
}

// readChunk is a chunk's data. It is compared with the chunk's sum, because a raw image's file may have changed since.
func (i *Image) readChunk(c chunk.Chunk) ([]byte, error) {
	from := i.raw
	if from == nil {
		from = i.spool
		if i.spooledLen(c.N) < c.Len {
			if err := i.KeepAll(); err != nil {
				return nil, err
			}
		}
	}
	data := chunk.Buffer(c.Len)
	if _, err := from.ReadAt(data, c.N*chunk.Size); err != nil {
		return nil, shorterError(err)
	}
	if chunk.SumOf(data) != c.Sum {
		return nil, ErrChanged
	}
	return data, nil
}

// Peek is at most so many bytes of chunk n as a raw image's file has it now, or as it was decoded, where these are kept. They are not compared with the
// chunk's sum, so they are good for guesses alone.
func (i *Image) Peek(n int64, most int) ([]byte, bool) {
	from := i.raw
	if from == nil {
		i.mu.Lock()
		known := n >= 0 && n < int64(len(i.chunks)) && i.spooledLen(n) >= min(most, i.chunks[n].Len)
		i.mu.Unlock()
		if !known {
			return nil, false
		}
		from = i.spool
	}
	data := chunk.Buffer(most)
	k, err := from.ReadAt(data, n*chunk.Size)
	return data[:k], k > 0 && (err == nil || err == io.EOF)
}

// Read is the data of chunk n, nil for zeros. It waits until the chunk is known; io.EOF says that the image ends before it.
func (i *Image) Read(ctx context.Context, n int64) ([]byte, error) {
	if i.kept == nil || i.raw == nil {
		i.start.Do(i.decode)
	}
	stop := i.wakeAtEnd(ctx)
	defer stop()
	c, more, err := i.awaitChunk(ctx, n, &i.done)
	switch {
	case err != nil:
		return nil, err
	case !more:
		return nil, io.EOF
	case c.Zero:
		return nil, nil
	}
	if data := i.takeData(ctx, n); data != nil {
		return data, nil
	}
	return i.readChunk(c)
}

// ReadFirst is the first n bytes of the decoded image, less where it is smaller.
func (i *Image) ReadFirst(ctx context.Context, n int64) ([]byte, error) {
	errEnough := errors.New("enough")
	var out []byte
	err := i.Walk(ctx, nil, func(c chunk.Chunk, data []byte) error {
		if data == nil {
			data = make([]byte, c.Len)
		}
		out = append(out, data[:min(int64(len(data)), n-int64(len(out)))]...)
		if int64(len(out)) == n {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return out, err
}

// Close ends everything that reads the image.
func (i *Image) Close() error {
	i.stop()
	end := func() error { return nil }
	i.start.Do(func() { end = i.undecoded; close(i.over) })
	i.mu.Lock()
	if !i.done && i.err == nil {
		i.err = os.ErrClosed
	}
	i.cond.Broadcast()
	i.mu.Unlock()
	err := i.in.Close() // ends a read that waits
	<-i.over
	end()
	if i.spool != nil {
		i.spool.Close()
	}
	return err
}
