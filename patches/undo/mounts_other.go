//go:build !linux

package undo

import "os"

// leadsOut is for Linux, which has bind mounts.
func leadsOut(_, _ *os.File) (string, error) { return "", nil }
