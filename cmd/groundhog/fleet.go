package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// fleet runs one job a host, at most parallel at once, and returns the worst exit code. An interruption ends all of them in order.
func fleet(cmd *cobra.Command, r *reporter, hosts []string, parallel int, run func(ctx context.Context, h host) int) error {
	if parallel < 1 {
		return misused(cmd, errors.New("--parallel must be at least 1"))
	}
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	defer echo()
	slots := make(chan struct{}, parallel)
	codes := make(chan int)
	for _, h := range hosts {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			codes <- run(ctx, host{r, h, time.Now()})
		}()
	}
	worst := exitDone
	for range hosts {
		worst = worse(worst, <-codes)
	}
	r.table(hosts)
	if worst == exitDone {
		return nil
	}
	return exitCode{code: worst}
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
