package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/screen"
)

// teller tells what happens on devices: as text, as text with bars below it, or as JSON.
type teller interface {
	reflash.Teller
	table([]reflash.Outcome) // sums several devices up
	close()                  // leaves the terminal to others
}

// teller chooses one. Bars are for a person who sees nothing else on that terminal: where standard output goes to a pager, it
// has the screen.
func (o *remote) teller(cmd *cobra.Command, hosts int) teller {
	out, errs, talk := cmd.OutOrStdout(), cmd.ErrOrStderr(), talkOf(cmd)
	if o.json {
		return newJSONTeller(out)
	}
	text := newTextTeller(out, errs, talk, hosts > 1)
	tty, ok := errs.(*os.File)
	stdout, isFile := out.(*os.File)
	if !ok || talk == quiet || !screen.Capable(tty) || isFile && isPipe(stdout) {
		return text
	}
	o.screen = screen.New(tty)
	text.err = o.screen
	if isFile && term.IsTerminal(int(stdout.Fd())) {
		text.out = o.screen.Above(stdout)
	}
	return newBarTeller(text, o.screen)
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
