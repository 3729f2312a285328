package sniff

import (
	"bytes"
	"fmt"
)

// LastLen is how much of an image's end is looked at, in bytes.
const LastLen = 512

// Last refuses, by its last bytes, an image that is another program's and begins like a disk's: last is [LastLen] bytes of one that
// is at least so long.
func Last(last []byte) error {
	if len(last) < LastLen {
		return nil
	}
	last = last[len(last)-LastLen:]
	for _, f := range []struct {
		offset      int
		magic, what string
	}{
		{0, "conectix", "a VHD image of fixed size, with a footer behind the disk" + howToConvert},
		{1, "conectix", "a VHD image of fixed size, with a footer behind the disk" + howToConvert}, // of 511 bytes, before 2004
		{0, "koly", "a DMG image" + howToConvert},
		{LastLen - 8, "cdsaencr", "an encrypted DMG image"},
		{LastLen - 64, "AVBf", "an Android partition's image, with a footer of verified boot"},
	} {
		if bytes.HasPrefix(last[f.offset:], []byte(f.magic)) {
			return fmt.Errorf("%w: %s", ErrNoImage, f.what)
		}
	}
	return nil
}
