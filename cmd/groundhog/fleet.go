package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/tell"
)

// runFleet runs one job a host, at most parallel at once, and returns the worst exit code. An interruption ends all of them in order.
func (o *remoteFlags) runFleet(cmd *cobra.Command, hosts []string, parallel int, run func(context.Context, reflash.Host, device.Options) reflash.Outcome) error {
	t := o.chooseTeller(cmd, len(hosts))
	defer t.Close()
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	defer restoreEcho()
	options := o.deviceOptions()
	ends := reflash.Fleet(ctx, t, hosts, parallel, func(ctx context.Context, h reflash.Host) reflash.Outcome { return run(ctx, h, options) })
	if len(hosts) > 1 {
		t.Table(ends)
	}
	worst := exitDone
	for _, e := range ends {
		worst = worseExit(worst, exitOf(e.Verdict))
	}
	if worst == exitDone {
		return nil
	}
	return exitCode{code: worst}
}

// eachOnce refuses, before any is reached, what is no device, and a device that is named twice.
func eachOnce(hosts []string) error {
	seen := map[string]bool{}
	for _, name := range hosts {
		if _, err := device.ParseTarget(name); err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("%s is named twice", name)
		}
		seen[name] = true
	}
	return nil
}

// swappedArgs is an error of opening a file that is not there, of a command line on which a file stands where a device is meant.
func swappedArgs(err error, hosts []string, path string) error {
	if _, missing := os.Stat(path); !errors.Is(missing, fs.ErrNotExist) {
		return err
	}
	for _, name := range hosts {
		if info, there := os.Stat(name); there == nil && !info.IsDir() {
			return hint.To(err, name+" is a file here: devices are named first, and files behind them")
		}
	}
	return err
}

// refuseAll ends a verb before any device is reached: machines are told a verdict on each of them, too.
func (o *remoteFlags) refuseAll(cmd *cobra.Command, hosts []string, err error) error {
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
