package image

import (
	"bytes"
	"path/filepath"
	"testing"
)

// What xz makes by itself busybox reads; what it makes with filters or a large dictionary, it does not.
func TestCommon(t *testing.T) {
	want := disk(1 << 20)
	for _, c := range []struct {
		common bool
		cmd    []string
	}{
		{true, []string{"xz", "-c"}},
		{true, []string{"xz", "-9e", "-c"}},
		{true, []string{"xz", "-0", "-T2", "--block-size=65536", "-c"}},
		{true, []string{"xz", "--check=sha256", "-c"}},
		{true, []string{"gzip", "-c"}},
		{false, []string{"xz", "--x86", "--lzma2", "-c"}},
		{false, []string{"xz", "--arm", "--lzma2=preset=6", "-c"}},
		{false, []string{"xz", "--delta=dist=4", "--lzma2", "-c"}},
		{false, []string{"xz", "--lzma2=dict=128MiB", "-c"}},
		{false, []string{"xz", "--x86", "--lzma2", "-T2", "--block-size=65536", "-c"}},
	} {
		b := packWith(t, c.cmd, want)
		i := open(t, old(t, filepath.Join(t.TempDir(), "image"), b), "", nil, Force(true))
		if i.Common() != c.common {
			t.Errorf("%q: common %v", c.cmd, i.Common())
		}
	}
	for n := range 64 { // whatever a header says
		b := bytes.Repeat([]byte{byte(n * 4)}, n+2)
		plainBlock(b, maxCommonDict)
	}
}
