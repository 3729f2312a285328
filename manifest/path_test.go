package manifest_test

import (
	"testing"
	"unicode/utf8"

	"groundhog/manifest"
)

// Any name comes back from its escaped form, which is valid UTF-8; what is no
// escaped form is refused.
func FuzzEscapePath(f *testing.F) {
	for _, s := range []string{"usr/bin/curl", "a\\b", "\xff", "\\xff", "a\xc3", "\ufffd", "\\", "\\x5c", "\\xFF"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		esc := manifest.EscapePath(s)
		if !utf8.ValidString(esc) {
			t.Fatalf("%q: escaped to %q", s, esc)
		}
		if back, err := manifest.UnescapePath(esc); err != nil || back != s {
			t.Fatalf("%q -> %q -> %q, %v", s, esc, back, err)
		}
		if name, err := manifest.UnescapePath(s); err == nil && manifest.EscapePath(name) != s && utf8.ValidString(s) {
			t.Fatalf("%q was accepted as %q", s, name)
		}
	})
}
