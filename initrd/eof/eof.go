// Package eof knows where input may end: at few places, so that what was cut is not taken for what is whole.
package eof

import "io"

// Unexpected is an error of a read at a place where input must not end: [io.EOF] is [io.ErrUnexpectedEOF] there.
func Unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
