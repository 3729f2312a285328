//go:build e2e

package table

import "testing"

func TestHostileDiskAll(t *testing.T) { hostileDisk(t, 1) }
