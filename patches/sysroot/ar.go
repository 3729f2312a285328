package sysroot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"groundhog/initrd/eof"
)

const arMagic = "!<arch>\n"

var (
	errNoAr  = errors.New("no ar archive, which a .deb is")
	errEmpty = errors.New("it is empty")
)

// arReader reads the plain ar format that deb(5) uses: no long names, no symbol
// tables. It looks at a member's name and size only; time, owner and mode, which
// nothing here needs, may be anything. It is our own because the libraries to be
// had neither check the magics nor survive a hostile size or mode.
type arReader struct {
	r    io.Reader
	left int64 // of the current member
	pad  int64
	cut  bool // r ended within a member
}

func newArReader(r io.Reader) (*arReader, error) {
	magic := make([]byte, len(arMagic))
	if n, err := io.ReadFull(r, magic); n == 0 && err == io.EOF {
		return nil, errEmpty
	} else if err != nil || string(magic) != arMagic {
		return nil, errNoAr
	}
	return &arReader{r: r}, nil
}

// nextMember skips to the next member and returns its name; io.EOF comes only at the end
// of a member with its padding.
func (a *arReader) nextMember() (string, error) {
	skip := a.left + a.pad
	if n, err := io.CopyN(io.Discard, a.r, skip); err != nil || n != skip {
		return "", eof.Unexpected(err)
	}
	a.left, a.pad = 0, 0
	header := make([]byte, 60)
	if _, err := io.ReadFull(a.r, header); err != nil {
		return "", err // io.EOF only if there was not one byte
	}
	if !bytes.Equal(header[58:], []byte("`\n")) {
		return "", errors.New("damaged ar header")
	}
	size, err := strconv.ParseUint(strings.TrimRight(string(header[48:58]), " "), 10, 63)
	if err != nil {
		return "", fmt.Errorf("ar header: bad size %q", header[48:58])
	}
	a.left, a.pad = int64(size), int64(size&1)
	name := strings.TrimRight(string(header[:16]), " ")
	return strings.TrimSuffix(name, "/"), nil
}

// Read reads the current member. One that ends early is an error.
func (a *arReader) Read(b []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.r.Read(b[:min(int64(len(b)), a.left)])
	a.left -= int64(n)
	if a.left > 0 {
		a.cut = err == io.EOF || err == io.ErrUnexpectedEOF
		err = eof.Unexpected(err)
	} else if err == io.EOF {
		err = nil
	}
	return n, err
}
