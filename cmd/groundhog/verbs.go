package main

import "github.com/spf13/cobra"

// verbs is all of them, in the order of the help.
func verbs() []*cobra.Command {
	all := []*cobra.Command{
		patchCmd(),
		hooksCmd(),
		inspectCmd(),
		manifestCmd(),
		diffCmd(),
		verifyCmd(),
		group(pushCmd(), onlineGroups),
		group(restoreCmd(), onlineGroups),
		group(flashCmd(), onlineGroups),
		group(reflashCmd(), onlineGroups),
		schemaCmd(),
		versionCmd(),
	}
	for _, verb := range more {
		all = append(all, verb())
	}
	return all
}

// more is verbs that only some builds have (man.go).
var more []func() *cobra.Command
