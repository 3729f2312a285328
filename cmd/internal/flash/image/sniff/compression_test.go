package sniff

import "testing"

func TestCompression(t *testing.T) {
	for first, want := range map[string]string{
		"\x1f\x8b\x08\x00":       "gzip",
		"\x28\xb5\x2f\xfd":       "zstd",
		"\x5a\x2a\x4d\x18":       "zstd", // a skippable frame
		"\xfd7zXZ\x00\x00\x04":   "xz",
		"not compressed, a text": "",
		"":                       "",
	} {
		if got := Compression([]byte(first)); got != want || IsCompression(got) != (want != "") {
			t.Errorf("%q: %q", first, got)
		}
	}
}
