package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"groundhog/cmd/internal/screen"
	"groundhog/cmd/internal/tell"
)

// teller chooses one. Bars are for a person who sees nothing else on that terminal: where standard output goes to a pager, it
// has the screen.
func (o *remote) teller(cmd *cobra.Command, hosts int) tell.Teller {
	out, errs, talk := cmd.OutOrStdout(), cmd.ErrOrStderr(), talkOf(cmd)
	if o.json {
		return tell.NewJSON(out, outputSchema)
	}
	text := tell.NewText(out, errs, talk, hosts > 1)
	tty, ok := errs.(*os.File)
	stdout, isFile := out.(*os.File)
	if !ok || talk == quiet || !screen.Capable(tty) || isFile && isPipe(stdout) {
		return text
	}
	o.screen = screen.New(tty)
	text.Err = o.screen
	if isFile && term.IsTerminal(int(stdout.Fd())) {
		text.Out = o.screen.Above(stdout)
	}
	return tell.NewBars(text, o.screen)
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
