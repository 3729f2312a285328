//go:build !linux

package sysroot

import (
	"errors"
	"io/fs"
	"os"
)

// beneath is Linux's.
type beneath struct{}

func openBeneath(*os.Root) *beneath                { return nil }
func (*beneath) takesName(string) bool             { return false }
func (*beneath) lstat(string) (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (*beneath) readLink(string) (string, error)   { return "", errors.ErrUnsupported }
func (*beneath) open(string) (fs.File, error)      { return nil, errors.ErrUnsupported }
func (*beneath) close() error                      { return nil }

// capabilitiesOf is none: file capabilities are Linux's.
func capabilitiesOf(fs.File) ([]byte, error) { return nil, nil }
