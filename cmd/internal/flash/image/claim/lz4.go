package claim

import "encoding/binary"

// lz4Size walks from frame to frame (lz4_Frame_format.md). The size is there only where lz4 was told --content-size.
func lz4Size(c *fileCursor) (uint64, bool) {
	total := uint64(0)
	for c.hasMore() {
		switch magic := c.uint32(); {
		case magic == 0x184d2204:
			if !lz4Frame(c, &total) {
				return 0, false
			}
		case magic>>4 == 0x184d2a5: // skippable
			c.skipBytes(int64(c.uint32()))
		default:
			return 0, false
		}
	}
	return total, true
}

func lz4Frame(c *fileCursor, total *uint64) bool {
	const dictionary, checksum, size, blockChecksum = 1, 4, 8, 16
	flags := c.takeBytes(2)[0]
	if flags>>6 != 1 || flags&size == 0 || !addClaim(total, binary.LittleEndian.Uint64(c.takeBytes(8))) {
		return false
	}
	if flags&dictionary != 0 {
		c.skipBytes(4)
	}
	c.skipBytes(1) // the header's own checksum
	for c.err == nil {
		n := int64(c.uint32() &^ (1 << 31)) // the bit says that it is not compressed
		if n == 0 {
			break
		}
		if flags&blockChecksum != 0 {
			n += 4
		}
		c.skipBytes(n)
	}
	if flags&checksum != 0 {
		c.skipBytes(4)
	}
	return true
}
