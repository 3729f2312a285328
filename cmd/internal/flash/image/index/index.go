// Package index keeps what is known of an image's file, so that the next flash of the same file need not read all of it
// again: the chunks of the image, and the SHA-256 of the file. It is kept in the user's cache and sealed with a key of the user's.
// An index that somebody else wrote is never read, and an index is used only for the file that it was made of, in the same state.
//
// An index is, numbers being big-endian:
//
//	"groundhog index 2\n"    then one line of JSON: [Index] without its chunks
//	1 or 33 bytes a chunk    0 for a chunk of zeros, else 1 and its sum; all are chunk.Size long but the last one
//	32 bytes                 HMAC-SHA-256 (RFC 2104) of all that
package index

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/sums"
)

// indexMagic begins an index; the number is the format's.
const indexMagic = "groundhog index 2\n"

// maxIndex bounds an index, in bytes: 256 MiB are those of 8 TB.
const maxIndex = 256 << 20

// Index is what is known of an image. The chunks are all of the decoded image, in order.
type Index struct {
	File   File          `json:"file"`   // that it was made of
	Stored string        `json:"stored"` // SHA-256 of the file, in hex; "" unknown
	Size   int64         `json:"size"`   // bytes of the decoded image
	Chunk  int           `json:"chunk"`  // bytes of a chunk
	Chunks []chunk.Chunk `json:"-"`
}

// encodeSealed is the index, sealed with key; nil for one that is larger than an index may be.
func (x *Index) encodeSealed(key []byte) []byte {
	x.Size, x.Chunk = chunk.End(x.Chunks), chunk.Size
	head, err := json.Marshal(x)
	if err != nil || len(x.Chunks)*(1+len(chunk.Sum{})) > maxIndex-len(head)-len(indexMagic)-1-sha256.Size {
		return nil
	}
	b := append(append([]byte(indexMagic), head...), '\n')
	for _, c := range x.Chunks {
		if c.Zero {
			b = append(b, 0)
		} else {
			b = append(append(b, 1), c.Sum[:]...)
		}
	}
	return append(b, sealOf(key, b)...)
}

func sealOf(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(nil)
}

// parseIndex reads an index; nil for what is none, or was not sealed with key.
func parseIndex(b, key []byte) *Index {
	if len(b) < len(indexMagic)+sha256.Size || !bytes.HasPrefix(b, []byte(indexMagic)) {
		return nil
	}
	b, sealed := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(sealOf(key, b), sealed) {
		return nil
	}
	head, rest, ok := bytes.Cut(b[len(indexMagic):], []byte("\n"))
	x := new(Index)
	if !ok || json.Unmarshal(head, x) != nil || x.Chunk != chunk.Size || x.Size <= 0 || x.Stored != "" && !sums.Is(x.Stored) {
		return nil
	}
	if x.Chunks, ok = parseChunks(rest, x.Size); !ok {
		return nil
	}
	return x
}

// parseChunks reads the chunks of an image of so many bytes.
func parseChunks(b []byte, size int64) (all []chunk.Chunk, ok bool) {
	for n := int64(0); len(b) > 0; n++ {
		left := size - n*chunk.Size
		if left <= 0 {
			return nil, false
		}
		c := chunk.Chunk{N: n, Len: int(min(left, chunk.Size)), Zero: b[0] == 0}
		switch {
		case b[0] > 1, !c.Zero && len(b) < 1+len(c.Sum):
			return nil, false
		case c.Zero:
			b = b[1:]
		default:
			b = b[1+copy(c.Sum[:], b[1:]):]
		}
		all = append(all, c)
	}
	return all, chunk.End(all) == size
}
