package image

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"groundhog/cmd/internal/flash/image/sniff"
)

// sniffBeginning refuses what is no image by its beginning or, where that is a file that is here, by its end; the reader that it
// returns has read nothing yet. It closes decoded where it fails.
func (i *Image) sniffBeginning(decoded io.ReadCloser) (io.ReadCloser, error) {
	first, ended := bufio.NewReaderSize(decoded, sniff.FirstLen).Peek(sniff.FirstLen)
	err := i.coded.whyFailed(ended)
	if err == io.EOF {
		err = nil
	}
	if err == nil {
		if i.is, err = sniff.Look(first); err != nil && i.compression != "raw" {
			err = fmt.Errorf("inside %s: %w", i.compression, err)
		}
		if errors.Is(err, sniff.ErrUnknown) {
			err = cmp.Or(sniff.Last(i.lastBytes()), err)
		}
		if i.force && len(first) > 0 {
			err = nil
		}
	}
	if err == nil && i.compression == "raw" && i.claim > 0 { // of a compressed one the end is looked at when it was decoded
		err = i.checkWhole(i.claim, i.lastBytes())
	}
	if err != nil {
		decoded.Close()
		return nil, err
	}
	rest := io.Reader(decoded) // without a buffer between, through which all of the image would be copied
	if ended != nil {
		rest = endedReader{ended}
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(first), rest), decoded}, nil
}

// endedReader has nothing more, and why.
type endedReader struct{ why error }

func (r endedReader) Read([]byte) (int, error) { return 0, r.why }

// lastBytes is a raw file's last bytes, as many as [sniff.Last] takes; nil for any other image.
func (i *Image) lastBytes() []byte {
	if i.watched == nil || i.file == nil || i.compression != "raw" || i.state.Size < sniff.LastLen {
		return nil
	}
	b := make([]byte, sniff.LastLen)
	if _, err := i.file.ReadAt(b, i.state.Size-sniff.LastLen); err != nil {
		return nil
	}
	return b
}

// checkWhole refuses an image of so many bytes that has more by its own account, or is another program's by its end.
func (i *Image) checkWhole(size int64, last []byte) error {
	if i.force || i.is == nil {
		return nil
	}
	if err := i.is.Whole(size, i.wholeContent()); err != nil {
		return err
	}
	return sniff.Last(last)
}

// wholeContent is all of the image, nil as long as it is not here.
func (i *Image) wholeContent() io.ReaderAt {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.file != nil && i.compression == "raw":
		return i.file
	case i.spool != nil:
		return decodedContent{i}
	}
	return nil
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
	i.mu.Lock()
	here := i.done || i.compression == "raw"
	i.mu.Unlock()
	size, ok := i.Size()
	if !ok || !here { // that it is whole is seen when it was decoded
		size = 0
	}
	return i.is.Fits(size, disk, block, i.wholeContent())
}
