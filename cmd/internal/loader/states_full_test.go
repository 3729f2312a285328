//go:build full

package loader

// How many combinations of blocks are tried between two flushes, at most.
const (
	statesOfBlocks  = 4096 // where the journal is not looked at
	statesOfJournal = 64
)
