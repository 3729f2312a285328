//go:build e2e

package xzblock

import "testing"

func TestFlippedAll(t *testing.T) { flipped(t, 1) }
