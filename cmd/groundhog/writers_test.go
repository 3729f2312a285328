package main

import (
	"debug/elf"
	"errors"
	"os"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/testscript"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/reflash"
	"groundhog/fixtures/tinyelf"
)

// tinyWriters is in the place of what `make writers` compiles: what a test sees
// does not depend on whether that was run.
func tinyWriters() writerSource {
	all := fstest.MapFS{}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		all[arch] = &fstest.MapFile{Data: tinyelf.Program(machine), Mode: 0o644}
	}
	return all
}

// mkProgram writes a program that says which machine a root tree is for.
func mkProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mkprogram FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), tinyelf.Program(elf.EM_X86_64), 0o755))
}

func TestWriterForNone(t *testing.T) {
	defer func(real writerSource) { knownWriters = real }(knownWriters)
	knownWriters = tinyWriters()
	for _, arch := range []string{"armhf", "i386", "../writers.go", "", "/amd64"} {
		if b, err := writerFor(arch); err == nil {
			t.Errorf("%q: %d bytes, want an error", arch, len(b))
		}
	}
	_, err := writerFor("armhf")
	var h hint.Error
	if !errors.Is(err, reflash.ErrNoWriter) || !errors.As(err, &h) {
		t.Errorf("%v: want reflash.ErrNoWriter with what to do", err)
	}
	if b, err := writerFor("arm64"); err != nil || len(b) == 0 {
		t.Errorf("arm64: %d bytes, %v", len(b), err)
	}
}
