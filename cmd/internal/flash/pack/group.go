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
const frameWindow = groupSize

// Levels, as zstd(1) has them: Quick is what a slow line leaves time for on two slow cores, Best what is worth keeping. 9 saves 2 % more than 6 where
// it is done in time; where it is not, a third of the image goes as chunks by themselves, which take half as much again. A Compute Module 3 needs, for each
// byte, 16 instructions to decode level 9, 23 to decode Best, and 13 to decode chunks of the library's fastest level (fixtures/bench/cm3,
// programs). BLAKE3 takes 18 more when the byte is compared with the image, and 18 when it is read back. So the better level costs a device
// of four cores little, compared with what it saves on the line.
const (
	Quick = 6
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

// newPacker packs at a level of zstd(1), by that program where it is installed. Else the library packs, whose best level makes about what
// level 12 of zstd(1) does, and is as slow. by names the packer.
func newPacker(ctx context.Context, level int) (p *Packer, by string, err error) {
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

// Pack packs a group: data is the bytes of its chunks, one behind the other, and is not kept. The packed bytes stay valid until the next
// call. It has decoded them, and compared the result with data.
func (p *Packer) Pack(data []byte) (Group, []byte, error) {
	if len(data) == 0 || len(data) > groupSize {
		return Group{}, nil, fmt.Errorf("packing: a group of %d bytes", len(data))
	}
	p.out.Reset()
	if err := p.encode(&p.out, data); err != nil {
		return Group{}, nil, fmt.Errorf("packing: %w", err)
	}
	return p.proveGroup(data, p.out.Bytes())
}

func idOf(data []byte) ID { return sha512.Sum512_256(data) }

// proveGroup decodes packed, and is the group that it makes; an error where it does not decode to data.
func (p *Packer) proveGroup(data, packed []byte) (Group, []byte, error) {
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
