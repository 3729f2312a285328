//go:build full

package loader

// How many combinations of blocks are tried between two flushes, at most.
const (
	statesOfBlocks  = 1024 // where the journal is not looked at
	statesOfJournal = 32
)
