// Package tell has who tells what happens on devices: as text, as text with bars below it, or as JSON.
package tell

import (
	"groundhog/cmd/internal/reflash"
)

// Teller tells what happens.
type Teller interface {
	reflash.Teller
	Table([]reflash.Outcome) // sums several devices up
	Close()                  // leaves the terminal to others
}

// Talk is how much a verb says: -q, nothing, -v.
type Talk int

const (
	Quiet Talk = iota - 1
	Normal
	Verbose
)
