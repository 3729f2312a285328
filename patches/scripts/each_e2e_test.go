//go:build e2e

package scripts

import "testing"

func TestInterfaceAll(t *testing.T) { interfaces(t, true) }

func TestMACAll(t *testing.T) { macs(t, true) }

func TestNeverEndsTheCallerAll(t *testing.T) { neverEndsTheCaller(t, true) }
