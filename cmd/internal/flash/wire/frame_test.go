package wire

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"groundhog/fixtures/judge"
)

// sample is a line with a hello and frames of every size that matters.
func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	judge.Must(t, SayHello(w, "groundhog 1.2"))
	for i, n := range []int{0, 1, 3, 200} {
		judge.Must(t, w.Write(Type(i+2), bytes.Repeat([]byte{'x'}, n/2), bytes.Repeat([]byte{'y'}, n-n/2)))
	}
	return b.Bytes()
}

// hear reads a whole line: how many frames came after the hello, and its end.
func hear(r io.Reader) (frames int, err error) {
	line := NewReader(r)
	if _, err := HearHello(line); err != nil {
		return 0, err
	}
	for {
		if _, _, err := line.Next(); err != nil {
			return frames, err
		}
		frames++
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	sizes := []int{0, 1, 4096, MaxPayload}
	for i, n := range sizes {
		judge.Must(t, w.Write(Type(200+i), bytes.Repeat([]byte{byte(i)}, n)))
	}
	r := NewReader(iotest.HalfReader(&b))
	for i, n := range sizes {
		kind, payload, err := r.Next()
		if err != nil || kind != Type(200+i) || !bytes.Equal(payload, bytes.Repeat([]byte{byte(i)}, n)) {
			t.Fatalf("frame %d: type %d, %d bytes, %v", i, kind, len(payload), err)
		}
	}
	if _, _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last frame: %v", err)
	}
	if err := w.Write(2, make([]byte, MaxPayload+1)); err == nil || b.Len() != 0 {
		t.Errorf("a frame that is too large: %v, %d bytes sent", err, b.Len())
	}
}

// A line cut at any byte ends with an error that is a proper end between frames only.
func TestCut(t *testing.T) {
	line := sample(t)
	proper := 0
	for n := range line {
		frames, err := hear(bytes.NewReader(line[:n]))
		if err == io.EOF {
			proper++
			continue
		}
		if err != io.ErrUnexpectedEOF {
			t.Errorf("cut at %d: %d frames, %v", n, frames, err)
		}
	}
	if proper != 5 { // nothing at all, behind the hello, behind each frame but the last
		t.Errorf("%d cuts look like a proper end, want 5", proper)
	}
}

// No flipped bit goes unnoticed, and none makes the reader wait for what never comes.
func TestFlippedBits(t *testing.T) {
	line := sample(t)
	for i := range len(line) * 8 {
		bad := bytes.Clone(line)
		bad[i/8] ^= 1 << (i % 8)
		frames, err := hear(bytes.NewReader(bad))
		if !errors.Is(err, ErrFrame) && !errors.Is(err, ErrNoise) {
			t.Errorf("bit %d: %d frames, %v", i, frames, err)
		}
	}
}

// failing is a line that breaks in the first frame and would take the second.
type failing struct{ calls int }

func (f *failing) Write(b []byte) (int, error) {
	if f.calls++; f.calls == 1 {
		return len(b) / 2, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestNothingAfterAnError(t *testing.T) {
	f := &failing{}
	w := NewWriter(f)
	for range 2 {
		if err := w.Write(2, []byte("x")); err != io.ErrClosedPipe {
			t.Errorf("got %v", err)
		}
	}
	if f.calls != 1 {
		t.Errorf("%d writes, the second behind half a frame", f.calls)
	}
}

// Frames of several goroutines do not mix.
func TestWritersTogether(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for range 50 {
				if err := w.Write(Type(i+1), bytes.Repeat([]byte{byte(i)}, 100*i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	r := NewReader(&b)
	for n := range 400 {
		kind, payload, err := r.Next()
		if i := int(kind) - 1; err != nil || !bytes.Equal(payload, bytes.Repeat([]byte{byte(i)}, 100*i)) {
			t.Fatalf("frame %d: type %d, %d bytes, %v", n, kind, len(payload), err)
		}
	}
}

// A claimed length costs nothing until the bytes come.
func TestClaimsAllocateNothing(t *testing.T) {
	var b bytes.Buffer
	judge.Must(t, NewWriter(&b).Write(2, make([]byte, MaxPayload)))
	head := b.Bytes()[:headerSize+1]
	r := NewReader(bytes.NewReader(head))
	if _, _, err := r.Next(); err != io.ErrUnexpectedEOF {
		t.Fatalf("got %v", err)
	}
	if got := r.payload.Cap(); got > 64<<10 {
		t.Errorf("a header alone took %d bytes", got)
	}
}

func FuzzLine(f *testing.F) {
	line := sample(f)
	f.Add(line)
	f.Add(line[:len(line)-3])
	f.Add([]byte("Welcome to the lab\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if frames, err := hear(bytes.NewReader(b)); err == nil || frames > len(b)/headerSize {
			t.Errorf("%d frames of %d bytes, %v", frames, len(b), err)
		}
	})
}
