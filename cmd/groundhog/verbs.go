package main

import (
	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
)

// allVerbs is all of them, in the order of the help.
func allVerbs() []*cobra.Command {
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
	for _, verb := range moreVerbs {
		all = append(all, verb())
	}
	return all
}

// moreVerbs is verbs that only some builds have (man.go).
var moreVerbs []func() *cobra.Command
