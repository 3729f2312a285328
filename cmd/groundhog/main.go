// Groundhog turns a Debian machine's initramfs into one from which the machine
// can be reflashed over the network.
//
// What it says follows one set of rules. Results go to standard output,
// everything else to standard error. An error is one line: what was being
// done, on what, and why it failed; where there is something to do about it, a
// second line says so. No capitals, no full stop, no emoji.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"syscall"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/hint"
	"groundhog/initrd/show"

	"github.com/spf13/cobra"
)

func main() {
	// An archive in memory is a few large blocks without pointers: collecting
	// often costs next to nothing and keeps the peak near what is in use.
	debug.SetGCPercent(20)
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Version is the tool's version, as manifests name it. It changes with each
// entry of CHANGELOG.md.
const Version = "0.17.0"

// exitCode is an error that ends the program with a code of its own.
type exitCode struct {
	code int
	err  error // nil: everything has been said
}

func (e exitCode) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitCode) Unwrap() error { return e.err }

// run is the program: arguments and streams in, exit code out.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd := rootCmd()
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	out := &notedWriter{Writer: stdout}
	cmd.SetOut(out)
	cmd.SetErr(stderr)
	addCompletion(cmd) // its scripts go to what is standard output now
	unknown := cli.HelpOfVerbs(cmd)
	err := cmp.Or(cmd.ExecuteContext(context.Background()), unknown())
	if lost := out.lostOutput(); lost != nil {
		err = withLost(err, lost)
	}
	if err == nil {
		return exitDone
	}
	if err.Error() != "" {
		fmt.Fprintf(stderr, "groundhog: %s\n", show.Line(err.Error()))
	}
	if todo := hint.Of(err); todo != "" {
		fmt.Fprintf(stderr, "  %s\n", show.Printable(todo))
	}
	return exitOfError(err)
}

// withLost adds to the error of a run that a part of its answer was lost, unless the error says so already.
func withLost(err, lost error) error {
	code := exitDone
	if told, ok := errors.AsType[exitCode](err); ok {
		code = told.code
	}
	switch {
	case errors.Is(err, errReportLost):
		lost = err
	case err != nil && err.Error() != "" && !errors.Is(err, lost):
		lost = hint.To(fmt.Errorf("%w; %w", err, lost), hint.Of(err))
	}
	return exitCode{worseExit(code, exitTrouble), lost}
}

// errReportLost is in the error of a verb that has done what was asked for, and cannot say so: it would pass for one that has done nothing.
var errReportLost = errors.New("all is done, and the report of it alone is lost")

// reported is the error of a verb that has reported to stdout what it has done.
func reported(stdout io.Writer, err error) error {
	if noted, ok := stdout.(*notedWriter); ok && noted.lostOutput() != nil {
		return fmt.Errorf("%w: %w", noted.lostOutput(), errReportLost)
	}
	return err
}

// notedWriter is standard output. It keeps the first error of a write: a verb that does not look at such errors would end well
// although its answer was lost. A standard output that is closed (>&-) cannot be told: Go's runtime has opened /dev/null in its
// place, to read and write, which is what Node's stdio: 'ignore' and Python's DEVNULL hand down, too.
type notedWriter struct {
	io.Writer
	mu  sync.Mutex
	err error
}

func (a *notedWriter) Write(p []byte) (int, error) {
	n, err := a.Writer.Write(p)
	if err == nil {
		return n, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = path.Err
		}
		a.err = fmt.Errorf("writing to standard output: %w", err)
	}
	return n, a.err
}

// lostOutput is why not all of the answer was written; nil where whoever reads it has read enough.
func (a *notedWriter) lostOutput() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(a.err, syscall.EPIPE) {
		return nil
	}
	return a.err
}

// Unwrap is standard output itself.
func (a *notedWriter) Unwrap() io.Writer { return a.Writer }

func rootCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "groundhog",
		Short: "Reflash a Debian machine over the network, from inside its own initramfs",
		Long: `Groundhog turns a target's initramfs into one that brings the network up, starts
Debian's own dropbear and waits, so that a system image can be written to the
target's storage over the network.`,
		Version:       Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cli.UnknownVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cobra.AddTemplateFunc("groupedUsages", cli.GroupedUsages)
	cmd.SetUsageTemplate(cli.UsageTemplate)
	cmd.SetHelpCommand(cli.HelpCmd(cmd))
	cobra.EnableCommandSorting = false // the help lists the verbs as allVerbs does
	cmd.PersistentFlags().BoolP("quiet", "q", false, "say nothing but errors")
	cmd.PersistentFlags().BoolP("verbose", "v", false, "say more")
	cmd.MarkFlagsMutuallyExclusive("quiet", "verbose")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return cli.Misused(cmd, err) })
	for _, verb := range allVerbs() {
		check := verb.Args
		verb.Args = func(cmd *cobra.Command, args []string) error {
			values := cli.Values(cmd, args, func(flag string) cli.Takes { return flagTakes(cmd.Name(), flag) })
			if err := cmp.Or(values, cli.Exclusive(cmd), check(cmd, args)); err != nil {
				return cli.Misused(cmd, err)
			}
			return nil
		}
		cmd.AddCommand(completeVerb(verb))
	}
	return cmd
}
