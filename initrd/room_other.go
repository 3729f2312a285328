//go:build !linux

package initrd

// mapLarge is for Linux: see room_linux.go.
func mapLarge([]byte) {}
