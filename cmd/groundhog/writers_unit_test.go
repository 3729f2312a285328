//go:build !e2e

package main

// Without e2e no test needs a writer that runs.
func init() { knownWriters = tinyWriters() }
