package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"groundhog/cmd/internal/input"
	"groundhog/fixtures/judge"
)

// An image that is a file on standard input is a file: that it changes while it is read is noticed.
func TestFileOnStandardInput(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk.img")
	judge.WriteFile(t, name, mbrImage(3<<20))
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var o flashOptions
	img, err := o.openImage(t.Context(), input.Of(f, nil), stdioName)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	judge.WriteFile(t, name, mbrImage(2<<20))
	if err := img.Load(t.Context()); err == nil || errors.Is(err, os.ErrClosed) {
		t.Errorf("it changed, and nobody noticed: %v", err)
	}
}
