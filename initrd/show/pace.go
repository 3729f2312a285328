package show

import (
	"fmt"
	"time"
)

// Rate writes bytes a second: "12.5 MiB/s".
func Rate(perSecond float64) string {
	return fmt.Sprintf("%.1f MiB/s", perSecond/(1<<20))
}

// Left writes the time that something still takes: "45s", "2m05s", "3h10m".
func Left(d time.Duration) string {
	s := int64(d.Round(time.Second).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
}
