package image

import (
	"encoding/binary"
	"io"
)

// maxCommonDict is the dictionary that busybox' xz takes, in bytes: that of xz -9.
const maxCommonDict = 64 << 20

// Common reports whether a small decoder, as busybox has them, reads the image's file: of xz it knows LZMA2 with a dictionary of
// xz -9's size, and neither BCJ nor delta filters. Of what is no file here nobody knows, and it is taken for common.
func (i *Image) Common() bool {
	return i.file == nil || i.compression != "xz" || plainXZ(i.file, maxCommonDict)
}

// plainXZ reports whether an xz file has LZMA2 alone, with a dictionary of at most so many bytes. All its blocks are like the first, in practice; where
// that cannot be read they are taken for plain.
func plainXZ(file io.ReaderAt, most uint64) bool {
	b := make([]byte, 12+1024) // the stream's header, and the longest of a block's
	n, err := file.ReadAt(b, 0)
	if err != nil && err != io.EOF || n < 16 {
		return true
	}
	return plainBlock(b[12:n], most)
}

// plainBlock looks at the first block's header (The .xz File Format, 3.1).
func plainBlock(b []byte, most uint64) bool {
	size, flags := (int(b[0])+1)*4, b[1]
	if b[0] == 0 || size > len(b) {
		return true
	}
	b = b[2:size]
	number := func() (n uint64) {
		n, used := binary.Uvarint(b)
		b = b[max(0, used):]
		return n
	}
	for _, sized := range []byte{0x40, 0x80} {
		if flags&sized != 0 {
			number()
		}
	}
	if flags&3 != 0 || number() != 0x21 || number() != 1 || len(b) == 0 {
		return false
	}
	bits := uint(b[0])
	return bits < 40 && uint64(2|bits&1)<<(bits/2+11) <= most
}
