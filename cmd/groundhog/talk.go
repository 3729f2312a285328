package main

import (
	"github.com/spf13/cobra"

	"groundhog/cmd/internal/tell"
)

// talk is how much a verb says.
type talk = tell.Talk

const (
	quiet   = tell.Quiet
	normal  = tell.Normal
	verbose = tell.Verbose
)

// talkOf reads -q and -v, which the root command has for all verbs.
func talkOf(cmd *cobra.Command) talk {
	if q, _ := cmd.Flags().GetBool("quiet"); q {
		return quiet
	}
	if v, _ := cmd.Flags().GetBool("verbose"); v {
		return verbose
	}
	return normal
}
