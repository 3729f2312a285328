package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// What SECURITY.md promises is shown by tests that are there, and for each who may be
// hostile there is one.
func TestSecurityPage(t *testing.T) {
	page := judge.ReadFile(t, "../../SECURITY.md")
	there := map[string]bool{}
	defined := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range defined.FindAllSubmatch(b, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| who |") {
			continue
		}
		rows++
		named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(line, -1)
		if len(named) == 0 {
			t.Errorf("nothing shows %q", line)
		}
		for _, name := range named {
			if !there[name] {
				t.Errorf("%s is not there", name)
			}
		}
	}
	if rows != 10 {
		t.Errorf("%d lines of who may be hostile, want 10", rows)
	}
}
