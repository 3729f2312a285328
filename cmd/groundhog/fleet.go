package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/tell"
)

// fleet runs one job a host, at most parallel at once, and returns the worst exit code. An interruption ends all of them in order.
func (o *remote) fleet(cmd *cobra.Command, hosts []string, parallel int, run func(context.Context, reflash.Host, device.Options) reflash.Outcome) error {
	t := o.teller(cmd, len(hosts))
	defer t.Close()
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	defer echo()
	options := o.options()
	ends := reflash.Fleet(ctx, t, hosts, parallel, func(ctx context.Context, h reflash.Host) reflash.Outcome { return run(ctx, h, options) })
	if len(hosts) > 1 {
		t.Table(ends)
	}
	worst := exitDone
	for _, e := range ends {
		worst = worse(worst, exitOf(e.Verdict))
	}
	if worst == exitDone {
		return nil
	}
	return exitCode{code: worst}
}

// refused ends a verb before any device is reached: machines are told a verdict on each of them, too.
func (o *remote) refused(cmd *cobra.Command, hosts []string, err error) error {
	code := exitOf(reflash.VerdictBefore(err))
	if !o.json {
		return exitCode{code, err}
	}
	t := tell.NewJSON(cmd.OutOrStdout(), cmd.ErrOrStderr(), outputSchema)
	for _, name := range hosts {
		reflash.Host{Teller: t, Name: name, Began: time.Now()}.Refuse(err)
	}
	return exitCode{code: code}
}

// interruptible ends with Ctrl-C, SIGTERM and the terminal's end, the first of which lets each device's run end in order; the
// second ends the program at once. A pipe whose reader is gone ends nothing: an error of the write is left.
func interruptible(parent context.Context) (context.Context, func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup(1) ignores it
		signals = append(signals, syscall.SIGHUP)
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(parent, signals...)
	context.AfterFunc(ctx, stop)
	return ctx, func() { stop(); signal.Stop(broken) }
}
