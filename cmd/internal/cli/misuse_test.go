package cli

import (
	"slices"
	"testing"
)

// What is proposed has something of what was written.
func TestNearNames(t *testing.T) {
	known := []string{"keep", "none", "gzip", "zstd", "xz", "lz4"}
	for name, want := range map[string][]string{"br": nil, "xs": {"xz"}, "gz": {"gzip", "xz"}, "zst": {"zstd"}, "lz": {"xz", "lz4"}, "lzma": {"lz4"}, "": nil} {
		if got := nearNames(known, name); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
