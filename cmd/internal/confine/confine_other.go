//go:build !linux

package confine

import "syscall"

// withoutNetwork is for Linux: elsewhere there are no namespaces to be had.
func withoutNetwork(*syscall.SysProcAttr) {}
