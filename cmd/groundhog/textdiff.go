package main

import (
	"io"

	"groundhog/initrd/show"
	"groundhog/manifest"
	"groundhog/manifest/diff"
)

// maxShown is the size, in bytes, of a file above which a dry run shows a line of it only.
const maxShown = 64 << 10

// printChange shows what a dry run would make of the file at name: a text as a
// unified diff, everything else by the line that is given. Of a file that holds a
// secret, before or after, no more than that it does is shown. before is nil where
// there is no file yet.
func printChange(w io.Writer, name string, before, after []byte, line string) error {
	for _, b := range [][]byte{before, after} {
		if what := manifest.Secret(name, b); what != "" {
			_, err := io.WriteString(w, show.Printable("+ "+line+" ("+what+": not shown)")+"\n")
			return err
		}
	}
	text := ""
	if len(after) < maxShown {
		old := name
		if before == nil {
			old = ""
		}
		text = diff.UnifiedDiff(old, name, before, after)
	}
	if text == "" {
		text = show.Printable("+ "+line) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
