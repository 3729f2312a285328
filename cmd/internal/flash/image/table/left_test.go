package table

import (
	"slices"
	"testing"
)

// What stands at a disk's end is named, by the formats' own places for it; zeros and noise are nothing.
func TestLeft(t *testing.T) {
	const size = 64<<20 + 3*512
	for what, c := range map[string]struct {
		off   int64
		bytes string
		want  string
	}{
		"gpt":       {size - 512, "EFI PART", "a GPT's backup"},
		"md 0.90":   {64<<20 - 64<<10, "\xfc\x4e\x2b\xa9", "a superblock of an md raid, version 0.90"},
		"md 1.0":    {(size/512 - 16) &^ 7 * 512, "\xfc\x4e\x2b\xa9", "a superblock of an md raid, version 1.0"},
		"zfs":       {64<<20 - 256<<10 + 16<<10 + 77, "pool_guid", "a label of ZFS"},
		"ddf":       {size - 512, "\xde\x11\xde\x11", "the anchor of a DDF raid"},
		"intel":     {size - 1024, "Intel Raid ISM Cfg Sig. 1.1.00", "the anchor of an Intel raid"},
		"lvm":       {size - 1<<20 - 512, "LABELONE" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "12345678" + "LVM2 001", "a label of LVM"},
		"lvm copy":  {size - 1<<20 - 512, "abcd LVM2 x[5A%r0N*>", "a copy of LVM's metadata"},
		"nothing":   {size - 1<<20, "nothing", ""},
		"misplaced": {size - 700<<10 + 17, "\xfc\x4e\x2b\xa9", ""},
	} {
		disk := make([]byte, size)
		copy(disk[c.off:], c.bytes)
		got := Left(disk[size-TailLen:], size, 512)
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.ContainsFunc(got, func(l Leftover) bool { return l.What == c.want }) || len(got) > 1 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for _, n := range []int{0, 1, 511, 512, 4096} { // a disk that is smaller
		if got := Left(make([]byte, n), int64(n), 512); len(got) > 0 {
			t.Errorf("%d bytes: %+v", n, got)
		}
	}
}
