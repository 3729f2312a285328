package image

import (
	"io"
	"strings"
)

// IsURL reports whether an image of that name is fetched.
func IsURL(name string) bool {
	return strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}

// Stored is a local image's bytes as they are stored; nil for any other. Each is independent.
func (i *Image) Stored() io.ReadSeeker {
	if i.file == nil {
		return nil
	}
	info, err := i.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return io.NewSectionReader(i.file, 0, info.Size())
}

// Err is why the image cannot be had, as far as it was read.
func (i *Image) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}
