package show

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	for got, want := range map[string]string{
		Rate(3.5 * (1 << 20)):             "3.5 MiB/s",
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
