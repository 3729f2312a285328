package main

import "github.com/spf13/cobra"

// talk is how much a verb says: -q, nothing, -v.
type talk int

const (
	quiet talk = iota - 1
	normal
	verbose
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
