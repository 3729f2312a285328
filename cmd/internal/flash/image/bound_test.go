package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

// atMost bounds an image, as [MaxSize] does.
func atMost(bytes int64) Option { return func(i *Image) { i.most = bytes } }

// What unpacks to more than any image has ends, though its zeros take no room where it is kept; where the file says so itself,
// nothing is decoded.
func TestMaxSize(t *testing.T) {
	img := make([]byte, 9<<20+512)
	copy(img, disk(1<<20))
	for name, cmd := range packers {
		stored := packWith(t, cmd, img)
		file := old(t, filepath.Join(t.TempDir(), "image"), stored)
		for _, from := range []string{file, "-"} {
			i, err := Open(t.Context(), from, "", bytes.NewReader(stored), atMost(int64(len(img)-1)))
			if err == nil {
				err = i.Load(t.Context())
				i.Close()
			}
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s, %s: %v", name, from, err)
			}
			i, err = Open(t.Context(), from, "", bytes.NewReader(stored), atMost(int64(len(img))))
			if err == nil {
				err = i.Load(t.Context())
				i.Close()
			}
			if err != nil {
				t.Errorf("%s, %s: one that is just as large: %v", name, from, err)
			}
		}
	}
	if _, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "image"), img), "", nil, atMost(9<<20)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("raw: %v", err)
	}
	if _, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "image"), claiming(MaxSize+1)), "", nil, Force(true)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file that says so: %v", err)
	}
}

// claiming is a zstd frame that says to have so many bytes, and has a block of zeros (RFC 8878, section 3.1.1).
func claiming(size int64) []byte {
	const sized, window2M, rle, last, length = 3 << 6, 11 << 3, 1 << 1, 1, 128 << 10
	head := binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, sized, window2M}, uint64(size))
	block := binary.LittleEndian.AppendUint32(nil, last|rle|length<<3)[:3]
	return slices.Concat(head, block, []byte{0})
}

// For a disk an image is not decoded further than to what does not fit: these have no end.
func TestLargerThanDisk(t *testing.T) {
	img := make([]byte, 24<<20)
	copy(img, disk(1<<20))
	for _, kind := range []string{"gzip", "zstd", "bzip2", "lz4"} {
		b := packWith(t, packers[kind], img)
		name := old(t, filepath.Join(t.TempDir(), "image"), b[:len(b)-1])
		for disk, want := range map[int64]error{1 << 20: ErrLarger, 3<<20 + 512: ErrLarger, 0: nil, 24 << 20: nil} {
			i := open(t, name, "", nil)
			if err := i.Ready(t.Context(), disk); err == nil || errors.Is(err, ErrLarger) != (want == ErrLarger) {
				t.Errorf("%s, a disk of %d bytes: %v", kind, disk, err)
			}
			i.Close()
		}
	}
}
