package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"groundhog/initrd"
	"groundhog/manifest"
)

// manifestOf describes the archive that img was written to f as. The bytes of
// segments that were encoded again are in the file only.
func manifestOf(img *initrd.Image, f *os.File) (*manifest.Manifest, error) {
	m, err := manifest.Of(img)
	if err != nil || m.Archive != nil {
		return m, err
	}
	var unpacked int64
	for i, s := range img.Segments {
		seg := &m.Segments[i]
		seg.Offset, seg.Size, seg.Padding, seg.Unpacked = s.Offset, s.Size, s.Padding, s.Unpacked
		unpacked += s.Unpacked
	}
	whole := sha256.New()
	for i := range m.Segments {
		seg := &m.Segments[i]
		part := sha256.New()
		if _, err := io.Copy(io.MultiWriter(whole, part), io.NewSectionReader(f, seg.Offset, seg.Size)); err != nil {
			return nil, err
		}
		if _, err := io.Copy(whole, io.NewSectionReader(f, seg.Offset+seg.Size, seg.Padding)); err != nil {
			return nil, err
		}
		seg.SHA256 = hex.EncodeToString(part.Sum(nil))
	}
	m.Archive = &manifest.Archive{SHA256: hex.EncodeToString(whole.Sum(nil)), Size: img.Size(), Unpacked: unpacked}
	return m, nil
}
