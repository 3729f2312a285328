package image

import (
	"bufio"
	"fmt"
	"io"

	"groundhog/cmd/internal/flash/image/sniff"
)

// sniff refuses what is no image by its beginning or, where that is a file that is here, by its end; the reader that it
// returns has read nothing yet. It closes decoded where it fails.
func (i *Image) sniff(decoded io.ReadCloser) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(decoded, sniff.FirstLen)
	first, err := in.Peek(sniff.FirstLen)
	if err == io.EOF {
		err = nil
	}
	if err == nil {
		if i.is, err = sniff.Look(first); err != nil && i.compression != "raw" {
			err = fmt.Errorf("inside %s: %w", i.compression, err)
		}
		if i.force && len(first) > 0 {
			err = nil
		}
	}
	if size, ok := i.Size(); err == nil && ok {
		err = i.whole(size, i.last())
	}
	if err != nil {
		decoded.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{in, decoded}, nil
}

// last is a raw file's last bytes, as many as [sniff.Last] takes; nil for any other image.
func (i *Image) last() []byte {
	if i.watched == nil || i.file == nil || i.compression != "raw" || i.state.Size < sniff.LastLen {
		return nil
	}
	b := make([]byte, sniff.LastLen)
	if _, err := i.file.ReadAt(b, i.state.Size-sniff.LastLen); err != nil {
		return nil
	}
	return b
}

// whole refuses an image of so many bytes that has more by its own account, or is another program's by its end.
func (i *Image) whole(size int64, last []byte) error {
	if i.force || i.is == nil {
		return nil
	}
	if err := i.is.Whole(size); err != nil {
		return err
	}
	return sniff.Last(last)
}

// What is what the image is, "a GPT" for one; "" where nobody knows.
func (i *Image) What() string {
	if i.is == nil {
		return ""
	}
	return i.is.What
}

// Fits refuses an image that is not for a disk of so many bytes with such sectors, by its partition table or its filesystem.
func (i *Image) Fits(disk, block int64) error {
	if i.force || i.is == nil {
		return nil
	}
	size, ok := i.Size()
	if !ok {
		size = 0
	}
	return i.is.Fits(size, disk, block)
}
