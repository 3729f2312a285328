package sniff

import (
	"bytes"
	"slices"
)

// compressions is the ways to compress that are decoded, by the bytes that begin what is compressed so (file(1), the formats' own specifications).
// A name is that of a program, too, which decodes with -dc.
var compressions = []struct{ name, magic string }{
	{"gzip", "\x1f\x8b"},
	{"xz", "\xfd7zXZ\x00"},
	{"zstd", "\x28\xb5\x2f\xfd"},
	{"bzip2", "BZh"},
	{"lz4", "\x04\x22\x4d\x18"},
}

// MagicLen is how many bytes [Compression] looks at.
const MagicLen = 6

// Compression names the way that a file is compressed which begins with first; "" for one that is not, or in no way that is decoded.
func Compression(first []byte) string {
	for _, c := range compressions {
		if bytes.HasPrefix(first, []byte(c.magic)) {
			return c.name
		}
	}
	// pzstd puts a skippable frame before each frame; its first byte may have any lower half (RFC 8878, section 3.1.2).
	if len(first) >= 4 && first[0]&0xf0 == 0x50 && string(first[1:4]) == "\x2a\x4d\x18" {
		return "zstd"
	}
	return ""
}

// IsCompression reports whether [Compression] may name it.
func IsCompression(name string) bool {
	return slices.ContainsFunc(compressions, func(c struct{ name, magic string }) bool { return c.name == name })
}
