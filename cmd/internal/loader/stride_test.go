//go:build !full

package loader

// stride is how many commands lie between two that a run is killed before.
const stride = 47

// failStride is how many lie between two that fail.
const failStride = 29
