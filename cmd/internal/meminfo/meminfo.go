// Package meminfo tells how much memory this machine has to spare.
package meminfo

import (
	"errors"
	"os"
	"strconv"
	"strings"
)

// Available is the memory that there is without swapping, in bytes (proc_meminfo(5)). root is "" but in tests.
func Available(root string) (int64, error) {
	b, err := os.ReadFile(root + "/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "MemAvailable:" {
			kib, err := strconv.ParseInt(words[1], 10, 40)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo does not say what memory is available")
}
