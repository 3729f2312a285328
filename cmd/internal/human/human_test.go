package human

import (
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		Size(0):                           "0 B",
		Size(10<<10 - 1):                  "10239 B",
		Size(10 << 10):                    "10.0 KiB",
		Size(1 << 20):                     "1.0 MiB",
		Size(10<<30 - 1<<20):              "10239.0 MiB",
		Size(32_000_000_000):              "29.8 GiB",
		Rate(3.5 * (1 << 20)):             "3.5 MiB/s",
		Over(10<<20, 4*time.Second):       "2.5 MiB/s",
		Over(1<<20, 0):                    "1000.0 MiB/s",
		Left(400 * time.Millisecond):      "0s",
		Left(59 * time.Second):            "59s",
		Left(125 * time.Second):           "2m05s",
		Left(3*time.Hour + 9*time.Minute): "3h09m",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
