package main

import (
	"github.com/spf13/cobra"

	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/output"
	"groundhog/cmd/internal/screen"
	"groundhog/cmd/internal/tell"
)

// talkLevel is how much a verb says.
type talkLevel = tell.Talk

const (
	talkQuiet   = tell.Quiet
	talkNormal  = tell.Normal
	talkVerbose = tell.Verbose
)

// talkOf reads -q and -v, which the root command has for all verbs.
func talkOf(cmd *cobra.Command) talkLevel {
	if q, _ := cmd.Flags().GetBool("quiet"); q {
		return talkQuiet
	}
	if v, _ := cmd.Flags().GetBool("verbose"); v {
		return talkVerbose
	}
	return talkNormal
}

// stdioName is the name that stands for standard input or output wherever a file is named.
const stdioName = output.Stdio

// inputsOf opens the files that a command line names.
func inputsOf(cmd *cobra.Command) *input.Files {
	return input.Of(cmd.InOrStdin(), func() *screen.Screen { return screenOf(cmd) })
}
