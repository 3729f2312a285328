package kexec

import (
	"bytes"
	"strings"
	"testing"
)

// A kernel's version is text that stands in its file, or it has none; and a next command line has no word that the one that runs has not.
func FuzzVersion(f *testing.F) {
	f.Add(bzImage(release+" (x@y) "+build), "initrd=\\x root=/dev/vda1 \"a b\"\n")
	f.Add(bzImage("")[:setupSize+10], "")
	f.Fuzz(func(t *testing.T, b []byte, line string) {
		v, err := Version(bytes.NewReader(b))
		if err == nil && (len(v) >= maxVersion || strings.Contains(v, "\x00") || !bytes.Contains(b, append([]byte(v), 0))) || err != nil && v != "" {
			t.Errorf("%q, %v", v, err)
		}
		next := nextCmdline(line)
		for _, w := range splitWords(next) {
			if strings.HasPrefix(w, "initrd=") || !strings.Contains(line, w) {
				t.Errorf("%q became %q", line, next)
			}
		}
		if nextCmdline(next) != next {
			t.Errorf("%q is not the same again: %q", next, nextCmdline(next))
		}
	})
}
