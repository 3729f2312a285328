//go:build e2e && !full

package loader

// How many combinations of blocks are tried between two flushes, at most.
const (
	statesOfBlocks  = 32 // where the journal is not looked at
	statesOfJournal = 1
)
