//go:build e2e

package dropbear

import "testing"

func TestServerAgreesAll(t *testing.T) { serverAgrees(t, 1) }
