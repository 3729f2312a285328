//go:build e2e

package patches

import "testing"

func TestDeviceAsShellsAll(t *testing.T) { deviceAsShells(t, 1) }
