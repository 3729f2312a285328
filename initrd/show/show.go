// Package show writes for people what comes from elsewhere: names that may hold
// any byte, sizes, counts. A terminal, a log and a report show the same.
package show

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Prints reports whether a character shows: what Unicode counts among letters, marks and symbols and has nobody see does not.
func Prints(r rune) bool {
	const braillePatternBlank = 0x2800
	return strconv.IsPrint(r) && (r < 0x34f || r != braillePatternBlank && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// Printable is a text for a terminal or a line of a log: characters that do not
// print, a line end among them but no tab, become \uNNNN or \UNNNNNNNN, and bytes that are not
// UTF-8, which an old terminal may obey, \xNN.
func Printable(s string) string {
	prints := func(r rune) bool { return Prints(r) || r == '\t' }
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !prints(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case prints(r):
			b.WriteRune(r)
		case r > 0xffff: // with four digits it would be another character and a digit
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// maxLine is what an error has at most, in bytes: it may be about a name without end.
const maxLine = 16 << 10

// Line is [Printable] of an error: of a long one the beginning and the end.
func Line(s string) string {
	if over := len(s) - maxLine; over > 0 {
		s = s[:maxLine/2] + fmt.Sprintf(" [%s more] ", Bytes(int64(over))) + s[len(s)-maxLine/2:]
	}
	return Printable(s)
}

// ASCII is a text with a '?' in place of each character that is not printable ASCII.
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// OrNone is [Printable], and "none" for an empty text.
func OrNone(s string) string {
	if s == "" {
		return "none"
	}
	return Printable(s)
}

// Bytes writes a size: "812 B", "1.2 KiB", "30.8 MiB".
func Bytes(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	if n < 1<<10 {
		return fmt.Sprintf("%s%d B", sign, n)
	}
	f, units := float64(n)/(1<<10), "KMGTPE"
	for f >= 1023.95 && len(units) > 1 {
		f, units = f/(1<<10), units[1:]
	}
	return fmt.Sprintf("%s%.1f %ciB", sign, f, units[0])
}

// Growth writes a growth in bytes with its sign: "+1.2 KiB", "-3 B", "±0 B".
func Growth(n int64) string {
	switch {
	case n > 0:
		return "+" + Bytes(n)
	case n == 0:
		return "±0 B"
	}
	return Bytes(n)
}

// Count writes a number of things: "1 key", "2 keys", "3 entries".
func Count(n int, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "y") && !strings.HasSuffix(what, "ey"):
		what = strings.TrimSuffix(what, "y") + "ies"
	default:
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

// IsText reports whether people can read b: valid UTF-8 without control
// characters besides tabs and line ends.
func IsText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f
	})
}
