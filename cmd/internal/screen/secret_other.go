//go:build !linux

package screen

func hiding(int) func() { return func() {} }
