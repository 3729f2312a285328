//go:build !linux

package direct

import (
	"context"
	"errors"
)

// Listener is what a device has. No device runs this system.
type Listener struct{}

// Line is what a device has.
type Line struct{ *Reader }

func Listen(Address) (*Listener, error)                      { return nil, errors.ErrUnsupported }
func (*Listener) Port() uint16                               { return 0 }
func (*Listener) Close() error                               { return nil }
func (*Listener) Accept(context.Context, Key) (*Line, error) { return nil, errors.ErrUnsupported }
func (*Line) Close() error                                   { return nil }
