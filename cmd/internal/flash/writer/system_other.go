//go:build !linux

package writer

import "errors"

// No device runs anything but Linux: see system_linux.go.

const directFlag = 0

func sectorSize(int) (int, error)         { return 0, errors.ErrUnsupported }
func dropCached(int, int64, int64) error  { return errors.ErrUnsupported }
func rereadTable(int) error               { return errors.ErrUnsupported }
func zeroOut(uintptr, int64, int64) error { return errors.ErrUnsupported }
func freeMemory() int64                   { return 0 }
