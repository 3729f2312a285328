package debian

import (
	"path"
	"strings"
)

// ModuleName is the name of the kernel module that a file holds, as lsmod(8) has it, with "_" for "-"; and whether the file's own name says
// that it holds one.
func ModuleName(file string) (string, bool) {
	base, ok := strings.CutSuffix(WithoutPacking(path.Base(file)), ".ko")
	return strings.ReplaceAll(base, "-", "_"), ok && base != ""
}

// WithoutPacking is the name of a module or of firmware without the ending that says how it is compressed.
func WithoutPacking(name string) string {
	for _, ending := range []string{".gz", ".xz", ".zst"} {
		name = strings.TrimSuffix(name, ending)
	}
	return name
}
