package main

import (
	"path/filepath"
	"strings"
	"testing"

	"groundhog/cmd/internal/input"
	"groundhog/fixtures/judge"
)

// FuzzDebRecords: what a package says of itself becomes records of dpkg's directory
// and nothing else, which our own reader of records takes or refuses in one line.
func FuzzDebRecords(f *testing.F) {
	f.Add(debFile(f, "100644", helloControl, "./usr/bin/hello", "hi\n"))
	f.Add(debFile(f, "1", "Package: a\nArchitecture: all\nStatus: deinstall\n x\n", "./a b", "", "./lib/../x", ""))
	f.Add(debFile(f, "", "Package: ../x\nArchitecture: all\n"))
	name := filepath.Join(f.TempDir(), "x.deb")
	f.Fuzz(func(t *testing.T, b []byte) {
		judge.WriteFile(t, name, b)
		src, err := input.Named().Tree(input.Layers{{Path: name, Debs: true}}, 4<<20)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than a line: %q", err)
			}
			return
		}
		for _, p := range src.Manifest.Packages {
			if p.Name == "" || strings.ContainsAny(p.Name, "/ \n\x1b") {
				t.Fatalf("a package %q", p.Name)
			}
		}
	})
}
