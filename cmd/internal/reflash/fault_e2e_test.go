//go:build e2e

package reflash

import "testing"

func TestFaultInEachCommandAll(t *testing.T) { faultInEachCommand(t, 1) }

func TestInterruptedInEachCommandAll(t *testing.T) { interruptedInEachCommand(t, 1) }
