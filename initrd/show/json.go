package show

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON is JSON with characters escaped that do not print: encoders leave those from DEL on as they are, and some of them control
// terminals. It means the same.
func JSON(text []byte) []byte {
	shows := func(r rune) bool { return r == '\n' || Prints(r) }
	if bytes.IndexFunc(text, func(r rune) bool { return !shows(r) }) < 0 {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case shows(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// JSONWriter passes JSON on to w, as [JSON] writes it.
func JSONWriter(w io.Writer) io.Writer { return &jsonWriter{w: w} }

type jsonWriter struct {
	w   io.Writer
	cut []byte // the beginning of a character
}

func (j *jsonWriter) Write(p []byte) (int, error) {
	b := p
	if len(j.cut) > 0 {
		b = append(j.cut, p...)
	}
	whole := len(b)
	for i := max(0, len(b)-utf8.UTFMax+1); i < len(b); i++ {
		if utf8.RuneStart(b[i]) && !utf8.FullRune(b[i:]) {
			whole = i
			break
		}
	}
	_, err := j.w.Write(JSON(b[:whole]))
	j.cut = bytes.Clone(b[whole:])
	return len(p), err
}
