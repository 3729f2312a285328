//go:build e2e

package plain

import "testing"

func TestRunIsDurableAll(t *testing.T) { runIsDurable(t, 1) }
