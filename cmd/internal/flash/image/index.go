package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// IndexSuffix is what the index beside an image is called behind the image's name.
const IndexSuffix = ".groundhog-index"

// indexMagic begins an index; the number is the format's.
const indexMagic = "groundhog index 1\n"

// maxIndex bounds an index, in bytes: one of 64 TiB has 3 GiB of it, which nobody has; 256 MiB is 6 TB.
const maxIndex = 256 << 20

// index is what is known of an image, as it is kept beside it:
//
//	"groundhog index 1\n"   then one line of JSON: this struct
//	45 bytes a chunk        as protocol.AppendChunk writes them, in order
//	32 bytes                SHA-256 of all that
//
// It is good for the file that it was made of and no other one: ctime changes with each write and nobody can set it (inode(7)).
type index struct {
	File    fileID `json:"file"`
	Stored  string `json:"stored"`  // SHA-256 of the file, in hex
	Decoded string `json:"decoded"` // SHA-256 of the decoded image, in hex
	Chunk   int    `json:"chunk"`   // bytes
	chunks  []protocol.Chunk
}

// fileID is which file it is, and in what state.
type fileID struct {
	Dev   uint64 `json:"dev"`
	Inode uint64 `json:"inode"`
	Size  int64  `json:"size"`
	Mtime int64  `json:"mtime"` // ns
	Ctime int64  `json:"ctime"` // ns
}

// identity is an empty index for f; nil for what is no regular file, or one that was written just
// now: a further write within the clock's tick would not show.
func identity(f *os.File) *index {
	if f == nil {
		return nil
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if time.Since(time.Unix(st.Ctim.Unix())) < 50*time.Millisecond {
		return nil
	}
	return &index{File: fileID{uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}, Chunk: chunk.Size}
}

// write keeps the index, whole or not at all.
func (x *index) write(image string) error {
	head, err := json.Marshal(x)
	if err != nil {
		return err
	}
	b := append(append([]byte(indexMagic), head...), '\n')
	for _, c := range x.chunks {
		b = protocol.AppendChunk(b, c)
	}
	sum := sha256.Sum256(b)
	f, err := os.CreateTemp(filepath.Dir(image), ".groundhog-index-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(append(b, sum[:]...)); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), image+IndexSuffix)
}

// readIndex is the kept index of an image, nil where there is none that holds.
func readIndex(image *os.File) *index {
	now := identity(image)
	f, err := os.Open(image.Name() + IndexSuffix)
	if err != nil || now == nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil || len(b) > maxIndex {
		return nil
	}
	x := parseIndex(b)
	if x == nil || x.File != now.File {
		return nil
	}
	return x
}

// parseIndex is nil for what is no index.
func parseIndex(b []byte) *index {
	if len(b) < len(indexMagic)+sha256.Size || !bytes.HasPrefix(b, []byte(indexMagic)) {
		return nil
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(b); !bytes.Equal(got[:], sum) {
		return nil
	}
	head, rest, ok := bytes.Cut(b[len(indexMagic):], []byte("\n"))
	x := new(index)
	if !ok || json.Unmarshal(head, x) != nil || x.Chunk != chunk.Size || !hexSum(x.Stored) || !hexSum(x.Decoded) {
		return nil
	}
	const batch = 45 * protocol.MaxBatch
	for len(rest) > 0 {
		part, err := protocol.Chunks(rest[:min(len(rest), batch)])
		if err != nil {
			return nil
		}
		x.chunks = append(x.chunks, part...)
		rest = rest[min(len(rest), batch):]
	}
	for n, c := range x.chunks { // all whole, in order; the last one alone may be shorter
		if c.N != int64(n) || n < len(x.chunks)-1 && c.Len != chunk.Size || c.Zero && c.Sum != (chunk.Sum{}) {
			return nil
		}
	}
	if len(x.chunks) == 0 {
		return nil
	}
	return x
}
