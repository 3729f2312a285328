package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"groundhog/cmd/internal/output"
	"groundhog/cmd/internal/screen"
	"groundhog/cmd/internal/tell"
)

// chooseTeller chooses one. Bars are for a person who sees nothing else on that terminal: where standard output goes to a pager, it
// has the screen.
func (o *remoteFlags) chooseTeller(cmd *cobra.Command, hosts int) tell.Teller {
	out, errs, talk := output.Behind(cmd.OutOrStdout()), cmd.ErrOrStderr(), talkOf(cmd)
	if o.json {
		return tell.NewJSON(cmd.OutOrStdout(), errs, outputSchema)
	}
	// It says on standard error what standard output does not take: then nothing is lost.
	text := tell.NewText(out, errs, talk, hosts > 1)
	o.screen = screenOf(cmd)
	if o.screen == nil {
		return text
	}
	text.Err = o.screen
	if isTerminal(out) {
		text.Out = o.screen.Above(out)
	}
	return tell.NewBars(text, o.screen)
}

// screenOf is the terminal on which a person follows a verb; nil where nobody does.
func screenOf(cmd *cobra.Command) *screen.Screen {
	tty, ok := cmd.ErrOrStderr().(*os.File)
	stdout, isFile := output.Behind(cmd.OutOrStdout()).(*os.File)
	if !ok || talkOf(cmd) == talkQuiet || !screen.Capable(tty) || isFile && isPipe(stdout) {
		return nil
	}
	return screen.New(tty)
}

func isTerminal(w io.Writer) bool {
	f, ok := output.Behind(w).(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
