package table

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"groundhog/cmd/internal/flash/chunk"
)

// tailLen is how much of a disk's end is cleared, in bytes. What is found there without the new table's help: an old GPT's
// backup (33 sectors), md's superblocks of versions 0.90 and 1.0 (128 and 12 KiB, Documentation/admin-guide/md.rst), the last two labels of ZFS
// (768 KiB with what is rounded off), the anchors of RAID controllers (DDF, IMSM and others: the last sectors). The same at
// the end of a partition that is grown to the last MiB lies up to as much before.
const tailLen = 2 << 20

// Clear is what has to be zero behind an image, lest something that stood at the disk's end from before is taken for part of
// the new system: a raid that is assembled over it is a disk lost. Of the disk's last [tailLen] bytes it leaves out the
// image, its partitions, which may lie behind its end, and what is put there.
func Clear(first []byte, imageSize, diskSize, block int64, put []chunk.Extent) ([]chunk.Extent, error) {
	if err := checkPossible(imageSize, diskSize, block); err != nil {
		return nil, err
	}
	all, err := Partitions(bytes.NewReader(first))
	if err != nil && !errors.Is(err, ErrNone) { // where its partitions are nobody knows: nothing is touched
		return nil, nil
	}
	from := max(imageSize, diskSize-tailLen, 0)
	for _, p := range all {
		end := p.Start + p.Size
		if block > 512 && !hasGPT(first, block) { // an MBR's are counted in the disk's own sectors
			end = max(end, end/512*block)
		}
		from = max(from, end)
	}
	block = max(block, 512)
	from, end := (from+block-1)/block*block, diskSize/block*block
	var zeros []chunk.Extent
	for _, e := range slices.SortedFunc(slices.Values(put), func(a, b chunk.Extent) int { return cmp.Compare(a.Off, b.Off) }) {
		if e.Off > from {
			zeros = append(zeros, chunk.Extent{Off: from, Len: e.Off - from})
		}
		from = max(from, (e.End()+block-1)/block*block)
	}
	if from < end {
		zeros = append(zeros, chunk.Extent{Off: from, Len: end - from})
	}
	return zeros, nil
}
