package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"groundhog/cmd/internal/flash/image/claim"
)

// Open opens an image: a file, "-" for stdin, or a URL, http or https. sum, if not empty, is the SHA-256 that
// the file must have as it is stored; without it, a local image's is looked for in NAME.sha256 and
// SHA256SUMS beside it. A local image is held against its checksum at once, a stream at its end.
func Open(ctx context.Context, name, sum string, stdin io.Reader) (*Image, error) {
	i := &Image{name: name, want: strings.ToLower(sum), over: make(chan struct{}), stop: func() {}, recent: map[int64][]byte{}}
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
	stored := &storedSum{Hash: sha256.New()}
	decoded, compression, err := Decode(io.TeeReader(interrupted{ctx, i.in}, stored))
	if err != nil {
		return err
	}
	i.compression = compression
	stored.off = compression == "raw" // what is decoded is hashed, too
	if i.file != nil {
		if info, err := i.file.Stat(); err == nil && info.Mode().IsRegular() {
			i.claim, _ = claim.Of(ctx, i.file, info.Size(), compression)
		}
	}
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
