//go:build !linux

package extract

import (
	"errors"
	"os"

	"groundhog/initrd"
)

// makeNode is for Linux: see mknod_linux.go.
func makeNode(_ int, name string, _ uint32, _ initrd.Device) error {
	return &os.PathError{Op: "mknod", Path: name, Err: errors.ErrUnsupported}
}
