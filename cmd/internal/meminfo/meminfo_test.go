package meminfo

import (
	"os"
	"testing"

	"groundhog/fixtures/judge"
)

func TestAvailable(t *testing.T) {
	root := t.TempDir()
	judge.Must(t, os.Mkdir(root+"/proc", 0o755))
	for text, want := range map[string]int64{
		"MemTotal: 500000 kB\nMemAvailable:   100000 kB\n": 100000 << 10,
		"MemTotal: 500000 kB\n":                            -1,
		"MemAvailable: much\n":                             -1,
	} {
		judge.Must(t, os.WriteFile(root+"/proc/meminfo", []byte(text), 0o644))
		if got, err := Available(root); (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
