package main

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"

	"groundhog/manifest"
)

// isText reports whether people can read b as lines.
func isText(b []byte) bool { return utf8.Valid(b) && !bytes.ContainsRune(b, 0) }

// printDiff writes a unified diff (diff -u) of the file at name.
func printDiff(w io.Writer, name string, before, after []byte, isNew bool) error {
	d := difflib.UnifiedDiff{A: lines(before), B: lines(after), FromFile: "a/" + name, ToFile: "b/" + name, Context: 3}
	if isNew {
		d.FromFile = "/dev/null"
	}
	text, err := difflib.GetUnifiedDiffString(d)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if _, err := io.WriteString(w, manifest.Printable(strings.TrimSuffix(line, "\n"))+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// lines splits a text after its newlines; the last line of a file gets one.
func lines(b []byte) []string {
	var all []string
	for l := range strings.Lines(string(b)) {
		all = append(all, strings.TrimSuffix(l, "\n")+"\n")
	}
	return all
}
