package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"groundhog/initrd"
	"groundhog/manifest"
)

// manifestOf describes the archive that img was written to f as; sum is the
// file's SHA-256. The bytes of segments that were encoded again are in the file
// only.
func manifestOf(img *initrd.Image, f *os.File, sum []byte) (*manifest.Manifest, error) {
	m, err := manifest.Of(img)
	if err != nil || m.Archive != nil {
		return m, err
	}
	m.Archive = &manifest.Archive{SHA256: hex.EncodeToString(sum), Size: img.Size()}
	for i, s := range img.Segments {
		seg := &m.Segments[i]
		seg.Offset, seg.Size, seg.Padding, seg.Unpacked = s.Offset, s.Size, s.Padding, s.Unpacked
		m.Archive.Unpacked += s.Unpacked
		if seg.SHA256 != "" {
			continue // nobody edited it
		}
		if seg.Size == img.Size() {
			seg.SHA256 = m.Archive.SHA256
			continue
		}
		part := sha256.New()
		if _, err := io.Copy(part, io.NewSectionReader(f, seg.Offset, seg.Size)); err != nil {
			return nil, err
		}
		seg.SHA256 = hex.EncodeToString(part.Sum(nil))
	}
	return m, nil
}
