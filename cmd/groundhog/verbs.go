package main

import (
	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
)

// verbs is all of them, in the order of the help.
func verbs() []*cobra.Command {
	all := []*cobra.Command{
		patchCmd(),
		hooksCmd(),
		inspectCmd(),
		manifestCmd(),
		diffCmd(),
		verifyCmd(),
		cli.Group(pushCmd(), cli.Online),
		cli.Group(restoreCmd(), cli.Online),
		cli.Group(flashCmd(), cli.Online),
		cli.Group(reflashCmd(), cli.Online),
		indexCmd(),
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
