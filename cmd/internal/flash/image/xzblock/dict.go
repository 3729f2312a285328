package xzblock

import (
	"encoding/binary"
	"hash/crc32"

	"groundhog/cmd/internal/flash/image/claim"
)

// lzma2 is the ID of the filter LZMA2 (section 5.3.1).
const lzma2 = 0x21

// dictOf is the size of the dictionary that LZMA2's properties ask for, in bytes.
func dictOf(props byte) int64 {
	if props == 40 {
		return 1<<32 - 1
	}
	return int64(2+props&1) << (props/2 + 11)
}

// smallestDict is LZMA2's properties for the smallest dictionary that holds a whole block.
func smallestDict(plain int64) byte {
	props := byte(0)
	for dictOf(props) < plain && props < 40 {
		props++
	}
	return props
}

// shrinkDict lowers the dictionary that a block's header asks for to what the block can use. The decoder makes a dictionary of the size in the
// header, once for each core, which may be 128 MiB for a block of a few bytes. The result is the same: a reference to more than what came
// before it is an error with any dictionary. A damaged header, and one that asks for more than most, are left for the decoder to refuse.
func shrinkDict(packed []byte, size claim.XZBlock, most uint32) {
	if len(packed) == 0 || packed[0] == 0 {
		return
	}
	end := (int(packed[0])+1)*4 - crc32.Size
	if end+crc32.Size > len(packed) || crc32.ChecksumIEEE(packed[:end]) != binary.LittleEndian.Uint32(packed[end:]) {
		return
	}
	head, at := packed[:end], 2
	next := func() uint64 {
		n, k := binary.Uvarint(head[min(at, end):])
		if k <= 0 {
			at = end + 1
			return 0
		}
		at += k
		return n
	}
	for _, sized := range []byte{0x40, 0x80} {
		if head[1]&sized != 0 {
			next()
		}
	}
	for range head[1]&3 + 1 {
		id, n := next(), next()
		if at > end || n > uint64(end-at) {
			return
		}
		if props := smallestDict(size.Plain); id == lzma2 && n == 1 && head[at] > props && head[at] <= 40 && dictOf(head[at]) <= int64(most) {
			head[at] = props
		}
		at += int(n)
	}
	binary.LittleEndian.PutUint32(packed[end:], crc32.ChecksumIEEE(head))
}
