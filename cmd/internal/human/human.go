// Package human writes figures for people, in one unit everywhere: powers of 1024, as disks, partitions and chunks are made of.
package human

import (
	"fmt"
	"time"
)

// Size is a number of bytes in words: "36.9 MiB". Up to 10 GiB all of them are MiB, so that two of one line can be compared.
func Size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 10<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// Rate is bytes per second in words: "12.5 MiB/s".
func Rate(perSecond float64) string {
	return fmt.Sprintf("%.1f MiB/s", perSecond/(1<<20))
}

// Over is the rate of n bytes that took so long.
func Over(n int64, took time.Duration) string {
	return Rate(float64(n) / max(took.Seconds(), 1e-3))
}

// Left is the time that something still takes, in words: "45s", "2m05s", "3h10m".
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
