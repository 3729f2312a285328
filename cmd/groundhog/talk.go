package main

import (
	"github.com/spf13/cobra"

	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/output"
	"groundhog/cmd/internal/screen"
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

// stdio is the name that stands for standard input or output wherever a file is named.
const stdio = output.Stdio

// inputsOf opens the files that a command line names.
func inputsOf(cmd *cobra.Command) *input.Files {
	return input.Of(cmd.InOrStdin(), func() *screen.Screen { return screenOf(cmd) })
}
