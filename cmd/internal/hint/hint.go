// Package hint is errors that know what to do about them.
package hint

import "errors"

// Error is an error with what to do about it.
type Error struct {
	Err  error
	Hint string
}

func (e Error) Error() string { return e.Err.Error() }
func (e Error) Unwrap() error { return e.Err }

// To adds what to do to an error; nil stays nil.
func To(err error, text string) error {
	if err == nil {
		return nil
	}
	return Error{err, text}
}

// Of is what to do about an error, "" where nobody knows. Who knows most of it stands outside and is asked first.
func Of(err error) string {
	if e, ok := errors.AsType[Error](err); ok {
		return e.Hint
	}
	return ""
}
