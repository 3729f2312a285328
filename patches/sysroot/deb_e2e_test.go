//go:build e2e

package sysroot

import "testing"

func TestDebCutAll(t *testing.T) { debCut(t, 1) }
