package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// Errors of an image.
var (
	ErrChecksum = errors.New("the image's checksum is another")
	ErrChanged  = errors.New("the image changed while it was read")
)

// Image is a disk image that is decoded once, however many devices it goes to: what is decoded
// stays in an unnamed file, of which raw images have no need. It is safe for concurrent use.
type Image struct {
	name        string
	compression string
	in          io.ReadCloser // as it is stored
	raw         io.ReaderAt   // a raw image's own file; nil: the spool has the decoded bytes
	file        *os.File      // a local image; nil for a stream
	want        string        // SHA-256 that what is stored must have, in hex; "" unknown
	stored      string        // SHA-256 of what is stored, once it is known

	start  sync.Once
	decode func()
	stop   context.CancelFunc
	over   chan struct{} // closed when nothing decodes any more
	kept   *index        // from beside the image

	mu     sync.Mutex
	cond   *sync.Cond
	spool  *os.File
	chunks []protocol.Chunk // so far
	done   bool
	err    error
	sha    string // of the decoded image, in hex
}

// Open opens an image: a file, "-" for stdin, or a URL, http or https. sum, if not empty, is the SHA-256 that
// the file must have as it is stored; without it, a local image's is looked for in NAME.sha256 and
// SHA256SUMS beside it. A local image is held against its checksum at once, a stream at its end.
func Open(ctx context.Context, name, sum string, stdin io.Reader) (*Image, error) {
	i := &Image{name: name, want: strings.ToLower(sum), over: make(chan struct{}), stop: func() {}}
	i.cond = sync.NewCond(&i.mu)
	if sum != "" && !hexSum(i.want) {
		return nil, fmt.Errorf("%q is no SHA-256 in hex", sum)
	}
	var err error
	switch {
	case name == "-":
		i.in = io.NopCloser(stdin)
	case IsURL(name):
		i.in, err = get(ctx, name)
	default:
		err = i.openFile()
	}
	if err != nil {
		return nil, err
	}
	if err := i.begin(ctx); err != nil {
		i.in.Close()
		return nil, fmt.Errorf("opening image %s: %w", name, err)
	}
	return i, nil
}

// get opens a URL. Where it leads is the server's matter, what comes is held against a checksum.
func get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		r.Body.Close()
		return nil, fmt.Errorf("getting %s: %s", url, r.Status)
	}
	return r.Body, nil
}

func (i *Image) openFile() error {
	f, err := os.Open(i.name)
	if err != nil {
		return fmt.Errorf("opening image: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode()&os.ModeDevice == 0 {
		err = fmt.Errorf("opening image %s: neither a file nor a disk", i.name)
	}
	if err == nil && i.want == "" {
		i.want, err = beside(i.name)
	}
	if err != nil {
		f.Close()
		return err
	}
	i.in, i.file = f, f
	return nil
}

// begin finds out what the image is.
func (i *Image) begin(ctx context.Context) error {
	if i.file != nil {
		i.kept = readIndex(i.file)
		if err := i.checkFile(ctx); err != nil {
			return err
		}
	}
	stored := sha256.New()
	decoded, compression, err := Decode(io.TeeReader(&interrupted{ctx, i.in}, stored))
	if err != nil {
		return err
	}
	i.compression = compression
	if i.file != nil && compression == "raw" {
		i.raw = i.file
	} else if i.spool, err = unnamed(); err != nil {
		decoded.Close()
		return err
	}
	ctx, i.stop = context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { i.mu.Lock(); i.cond.Broadcast(); i.mu.Unlock() })
	i.decode = func() { go i.run(ctx, decoded, stored) }
	return nil
}

// checkFile holds a local image against its checksum.
func (i *Image) checkFile(ctx context.Context) error {
	if i.want == "" {
		return nil
	}
	if i.kept != nil {
		i.stored = i.kept.Stored
	} else {
		h := sha256.New()
		if _, err := io.Copy(h, &interrupted{ctx, i.file}); err != nil {
			return err
		}
		if _, err := i.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		i.stored = hex.EncodeToString(h.Sum(nil))
	}
	if i.stored != i.want {
		return fmt.Errorf("%w: %s, not %s", ErrChecksum, i.stored, i.want)
	}
	return nil
}

// unnamed is a file for what may be large, gone with its last reader: /tmp may be memory (file-hierarchy(7)).
func unnamed() (*os.File, error) {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		dir = "/var/tmp"
	}
	f, err := os.CreateTemp(dir, "groundhog-image-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// run decodes, hashes and keeps the whole image.
func (i *Image) run(ctx context.Context, decoded io.ReadCloser, stored hash.Hash) {
	defer close(i.over)
	defer decoded.Close()
	before := identity(i.file)
	sum, err := i.pull(&interrupted{ctx, decoded})
	if err == nil {
		err = i.end(stored, before)
	}
	if err == nil && i.file != nil && before != nil {
		before.Stored, before.Decoded = i.stored, sum
		before.chunks = i.chunks
		before.write(i.name) // it saves time, no more: where it cannot be kept, it is made again
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.done, i.err, i.sha = err == nil, err, sum
	i.cond.Broadcast()
}

// end holds what was read against what it should have been.
func (i *Image) end(stored hash.Hash, before *index) error {
	if _, err := io.Copy(stored, i.in); err != nil { // a decoder need not read what follows its last byte
		return err
	}
	sum := hex.EncodeToString(stored.Sum(nil))
	if i.stored != "" && sum != i.stored {
		return ErrChanged
	}
	if i.want != "" && sum != i.want {
		return fmt.Errorf("%w: %s, not %s", ErrChecksum, sum, i.want)
	}
	if now := identity(i.file); i.file != nil && before != nil && (now == nil || now.File != before.File) {
		return ErrChanged
	}
	i.stored = sum
	return nil
}

// pull reads the decoded image chunk by chunk.
func (i *Image) pull(r io.Reader) (string, error) {
	whole := sha256.New()
	buf := make([]byte, chunk.Size)
	for n := int64(0); ; n++ {
		k, err := 0, error(nil)
		for k < len(buf) && err == nil { // io.ReadFull would make one error of a proper end and a cut
			var m int
			m, err = r.Read(buf[k:])
			k += m
		}
		if err != nil && err != io.EOF {
			return "", err
		}
		if k == 0 {
			return hex.EncodeToString(whole.Sum(nil)), nil
		}
		p := buf[:k]
		hashed := make(chan struct{})
		go func() { whole.Write(p); close(hashed) }()
		kept := i.keep(n, p)
		<-hashed
		if kept != nil {
			return "", kept
		}
		if err == io.EOF {
			return hex.EncodeToString(whole.Sum(nil)), nil
		}
	}
}

// keep takes one chunk.
func (i *Image) keep(n int64, p []byte) error {
	c := protocol.Chunk{N: n, Len: len(p)}
	if chunk.IsZero(p) {
		c.Zero = true
	} else {
		c.Sum = chunk.SumOf(p)
		if i.raw == nil {
			if _, err := i.spool.WriteAt(p, n*chunk.Size); err != nil {
				return fmt.Errorf("keeping the decoded image: %w", err)
			}
		}
	}
	if i.kept != nil && (n >= int64(len(i.kept.chunks)) || i.kept.chunks[n] != c) {
		return ErrChanged
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.chunks = append(i.chunks, c)
	i.cond.Broadcast()
	return nil
}

// Size is the decoded image's size in bytes, where it is known.
func (i *Image) Size() (int64, bool) {
	if i.kept != nil {
		return size(i.kept.chunks), true
	}
	if i.raw != nil {
		if info, err := i.file.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size(), true
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return size(i.chunks), i.done
}

func size(all []protocol.Chunk) int64 {
	if len(all) == 0 {
		return 0
	}
	last := all[len(all)-1]
	return last.N*chunk.Size + int64(last.Len)
}

// Index is all chunks, nil until they are known.
func (i *Image) Index() []protocol.Chunk {
	if i.kept != nil {
		return i.kept.chunks
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.done {
		return nil
	}
	return i.chunks
}

// Again is always so: what was decoded is kept.
func (i *Image) Again() bool { return true }

// Compression is "raw" or a compression's name.
func (i *Image) Compression() string { return i.compression }

// SHA256 is that of the decoded image, in hex, once it was decoded or from the kept index.
func (i *Image) SHA256() string {
	if i.kept != nil {
		return i.kept.Decoded
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sha
}

// Load decodes the image to its end.
func (i *Image) Load(ctx context.Context) error {
	if i.kept != nil {
		return nil
	}
	return i.Walk(ctx, func(int64) bool { return false }, nil)
}

// Walk calls each for the chunks that want names, in order; it waits for what is not decoded yet.
func (i *Image) Walk(ctx context.Context, want func(int64) bool, each func(protocol.Chunk, []byte) error) error {
	if i.kept == nil || i.raw == nil {
		i.start.Do(i.decode)
	}
	stop := context.AfterFunc(ctx, func() { i.mu.Lock(); i.cond.Broadcast(); i.mu.Unlock() })
	defer stop()
	for n := int64(0); ; n++ {
		c, more, err := i.await(ctx, n)
		if err != nil || !more {
			return err
		}
		if want != nil && !want(n) {
			continue
		}
		var data []byte
		if !c.Zero {
			if data, err = i.read(c); err != nil {
				return err
			}
		}
		if err := each(c, data); err != nil {
			return err
		}
	}
}

// await waits for chunk n.
func (i *Image) await(ctx context.Context, n int64) (protocol.Chunk, bool, error) {
	if i.kept != nil && i.raw != nil {
		if n == int64(len(i.kept.chunks)) {
			return protocol.Chunk{}, false, nil
		}
		return i.kept.chunks[n], true, ctx.Err()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for {
		switch {
		case ctx.Err() != nil:
			return protocol.Chunk{}, false, ctx.Err()
		case n < int64(len(i.chunks)):
			return i.chunks[n], true, nil
		case i.err != nil:
			return protocol.Chunk{}, false, i.err
		case i.done:
			return protocol.Chunk{}, false, nil
		}
		i.cond.Wait()
	}
}

// read is a chunk's data, held against its sum: a raw image's file may have changed since.
func (i *Image) read(c protocol.Chunk) ([]byte, error) {
	from := i.raw
	if from == nil {
		from = i.spool
	}
	data := make([]byte, c.Len)
	if _, err := from.ReadAt(data, c.N*chunk.Size); err != nil {
		return nil, unexpected(err)
	}
	if chunk.SumOf(data) != c.Sum {
		return nil, ErrChanged
	}
	return data, nil
}

// ReadFirst is the first n bytes of the decoded image, less where it is smaller.
func (i *Image) ReadFirst(ctx context.Context, n int64) ([]byte, error) {
	errEnough := errors.New("enough")
	var out []byte
	err := i.Walk(ctx, nil, func(c protocol.Chunk, data []byte) error {
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
	i.start.Do(func() { close(i.over) })
	i.mu.Lock()
	if !i.done && i.err == nil {
		i.err = os.ErrClosed
	}
	i.cond.Broadcast()
	i.mu.Unlock()
	err := i.in.Close() // ends a read that waits
	<-i.over
	if i.spool != nil {
		i.spool.Close()
	}
	return err
}

// interrupted is a reader that ends with its context.
type interrupted struct {
	ctx context.Context
	r   io.Reader
}

func (r *interrupted) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func hexSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// beside looks for an image's checksum where sha256sum(1) is told to put it: NAME.sha256, or
// SHA256SUMS in its directory; "" where there is none.
func beside(name string) (string, error) {
	dir, base := filepath.Split(name)
	for _, f := range []string{name + ".sha256", dir + "SHA256SUMS"} {
		b, err := readSmall(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("reading checksums: %w", err)
		}
		own := f != dir+"SHA256SUMS"
		found := ""
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			switch {
			case len(fields) == 0, !hexSum(fields[0]):
				continue
			case len(fields) == 1 && own, len(fields) == 2 && strings.TrimPrefix(strings.TrimPrefix(fields[1], "*"), "./") == base:
				found = strings.ToLower(fields[0])
			}
		}
		if found != "" {
			return found, nil
		}
		if own {
			return "", fmt.Errorf("%s: no SHA-256 of %s in it", f, base)
		}
	}
	return "", nil
}

// maxSums bounds a file of checksums, in bytes.
const maxSums = 4 << 20

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSums+1))
	if err == nil && len(b) > maxSums {
		err = fmt.Errorf("%s: more than %d bytes", name, maxSums)
	}
	return b, err
}
