package pack

import (
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/klauspost/compress/zstd"

	"groundhog/cmd/internal/flash/chunk"
)

// frameWindow is the zstd window of a group's frames, in bytes.
const frameWindow = GroupSize

// Levels, as zstd(1) has them: what a slow line leaves time for, and what is worth to be kept. To decode a byte takes a Compute
// Module 3 16 instructions of the first and 23 of the second, 13 of chunks at the library's fastest level (fixtures/bench/cm3, programs); to
// compare it with the image and to read it back takes 18 each time, for BLAKE3. So the better level costs a device of four cores
// little of what it saves on the line.
const (
	Quick = 9
	Best  = 19
)

// Packer packs groups, one at a time.
type Packer struct {
	encode  func(out *bytes.Buffer, data []byte) error
	close   func()
	decoder *zstd.Decoder
	out     bytes.Buffer
	scratch []byte
}

// NewPacker packs at a level, with the program zstd where it is installed: the library's best level is some 12 of it,
// and as slow. By says with what it packs.
func NewPacker(ctx context.Context, level int) (p *Packer, by string, err error) {
	p = &Packer{scratch: make([]byte, chunk.Size), close: func() {}}
	if p.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(frameWindow)); err != nil {
		return nil, "", err
	}
	if program, err := exec.LookPath("zstd"); err == nil {
		p.encode = func(out *bytes.Buffer, data []byte) error { return runZstd(ctx, program, level, out, data) }
		return p, fmt.Sprintf("zstd -%d", level), nil
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(frameWindow))
	if err != nil {
		return nil, "", err
	}
	p.close = func() { encoder.Close() }
	p.encode = func(out *bytes.Buffer, data []byte) error {
		encoder.Reset(out)
		_, err := encoder.Write(data)
		return errors.Join(err, encoder.Close())
	}
	return p, "the library's level " + zstd.EncoderLevelFromZstd(level).String(), nil
}

// runZstd packs with zstd(1). What it makes is proven by decoding it, so it need not be trusted with more than time.
func runZstd(ctx context.Context, program string, level int, out *bytes.Buffer, data []byte) error {
	cmd := exec.CommandContext(ctx, program, "-q", "-c", "-T1", fmt.Sprintf("-%d", level), "--zstd=wlog=23", fmt.Sprintf("--stream-size=%d", len(data)))
	cmd.Env = []string{"LC_ALL=C"} // without ZSTD_CLEVEL and ZSTD_NBTHREADS
	cmd.Stdin, cmd.Stdout = bytes.NewReader(data), out
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("zstd: %w: %.200q", err, stderr.String())
	}
	return nil
}

// Close ends its goroutines.
func (p *Packer) Close() {
	p.close()
	p.decoder.Close()
}

// Pack packs the chunks of a group, whose bytes are theirs one behind the other; nothing is kept of them. The packed bytes are
// the packer's until the next call. That they decode to what was packed was tried.
func (p *Packer) Pack(data []byte) (Group, []byte, error) {
	if len(data) == 0 || len(data) > GroupSize {
		return Group{}, nil, fmt.Errorf("packing: a group of %d bytes", len(data))
	}
	p.out.Reset()
	if err := p.encode(&p.out, data); err != nil {
		return Group{}, nil, fmt.Errorf("packing: %w", err)
	}
	return p.prove(data, p.out.Bytes())
}

func idOf(data []byte) ID { return sha512.Sum512_256(data) }

// prove is the group that packed makes, if it decodes to data.
func (p *Packer) prove(data, packed []byte) (Group, []byte, error) {
	g := Group{ID: idOf(data), Len: int64(len(packed)), Sum: ID(chunk.SumOf(packed))}
	in := &groupReader{left: packed}
	if err := p.decoder.Reset(in); err != nil {
		return g, nil, err
	}
	for at := 0; at < len(data); {
		want := data[at:min(at+chunk.Size, len(data))]
		if _, err := io.ReadFull(p.decoder, p.scratch[:len(want)]); err != nil {
			return g, nil, fmt.Errorf("packing: %w", err)
		}
		if !bytes.Equal(p.scratch[:len(want)], want) {
			return g, nil, errors.New("packing: it decodes to something else")
		}
		g.Ends = append(g.Ends, int64(len(packed)-len(in.left)))
		at += len(want)
	}
	if n, err := p.decoder.Read(p.scratch); n != 0 || err != io.EOF {
		return g, nil, errors.New("packing: it decodes to more")
	}
	return g, packed, nil
}

// groupReader reads a packed group; left is what the decoder has not taken yet. It takes a block at a time.
type groupReader struct{ left []byte }

func (c *groupReader) Read(b []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}
