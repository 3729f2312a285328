package main

import (
	"os/exec"
	"testing"

	"groundhog/fixtures/judge"
)

// What only `make dist` compiles compiles.
func TestManPagesCompile(t *testing.T) {
	if out, err := exec.Command(judge.Tool(t, "go"), "vet", "-tags", "man", ".").CombinedOutput(); err != nil {
		t.Errorf("go vet -tags man: %v: %s", err, out)
	}
}
