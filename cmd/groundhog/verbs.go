package main

import "github.com/spf13/cobra"

// verbs is all of them, in the order of the help.
func verbs() []*cobra.Command {
	return []*cobra.Command{
		patchCmd(),
		hooksCmd(),
		inspectCmd(),
		manifestCmd(),
		diffCmd(),
		verifyCmd(),
		pushCmd(),
		restoreCmd(),
		flashCmd(),
		reflashCmd(),
		versionCmd(),
	}
}
