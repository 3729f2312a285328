package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/interrupt"
	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/sidefile"
	"groundhog/cmd/internal/tell"
)

// runFleet runs one job a host, as many at once as --parallel lets, and returns the worst exit code. An interruption ends all of them in order.
func (o *remoteFlags) runFleet(cmd *cobra.Command, hosts []string, run func(context.Context, reflash.Host, device.Options) reflash.Outcome) error {
	t := tell.NewApart(o.chooseTeller(cmd, len(hosts)))
	ctx, stop := interrupt.Context(cmd.Context(), func() { t.Close(); restoreEcho() })
	defer stop()
	defer t.Close() // what is still to be told may go into a pipe without a reader
	defer restoreEcho()
	o.ssh.Ask = o.passphraseAsker(t.AwaitTold)
	ends := reflash.Fleet(ctx, t, hosts, o.parallel, func(ctx context.Context, h reflash.Host) reflash.Outcome { return run(ctx, h, o.ssh) })
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

// checkDevices refuses, before any is reached or looked up, what is no device, what is plainly a file, and a device that is named twice.
func (o *remoteFlags) checkDevices(ctx context.Context, hosts []string) error {
	seen := map[device.Target]bool{}
	for _, name := range hosts {
		target, err := device.ParseTarget(name)
		if looks := looksLikeFile(name); looks != "" && (err != nil || !device.IsConfigured(ctx, name, o.ssh.Config)) {
			return hint.To(fmt.Errorf("%q is no device: %s", name, looks), "devices are named first, and files behind them; a device that is called so is root@"+filepath.Base(name))
		}
		if err != nil {
			return err
		}
		if seen[target] {
			return fmt.Errorf("%s is named twice", name)
		}
		seen[target] = true
	}
	return nil
}

// fileSuffixes end the names of images, archives and lists, and of no host in the public DNS.
var fileSuffixes = strings.Fields(".img .raw .iso .qcow2 .vmdk .gz .xz .zst .bz2 .lz4 .lzma .tar .cpio .deb .json .txt")

// looksLikeFile says why what is named as a device is plainly a file; "" where it may be a device. One with a user or a port is.
func looksLikeFile(name string) string {
	if strings.ContainsAny(name, "@:") {
		return ""
	}
	info, err := os.Stat(name)
	there := err == nil
	switch {
	case there && strings.Contains(name, "/"):
		return "it is a file's name"
	case there && info.Mode().IsRegular() && holdsData(name):
		return "there is a file of that name here, and no text is in it"
	case there && info.IsDir(), there && !info.Mode().IsRegular():
		return ""
	case slices.Contains(fileSuffixes, filepath.Ext(name)), strings.HasPrefix(name, "initrd.img"):
		if there {
			return "there is a file of that name here"
		}
		return "that is a file's name, and there is no such file here"
	}
	return ""
}

// holdsData reports whether a file begins with something else than text. A text proves nothing: it may be a note on the device
// whose name it has.
func holdsData(name string) bool {
	f, err := sidefile.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, 512)
	n, _ := io.ReadFull(f, b)
	return bytes.IndexByte(b[:n], 0) >= 0
}

// checkFiles reads the files that say how devices are reached, before any device is. A file that ssh_config(5) names may be
// absent, one that the command line names may not.
func (o *remoteFlags) checkFiles(ctx context.Context) error {
	for _, name := range o.ssh.Identities {
		if err := device.CheckIdentity(ctx, name); err != nil {
			return reflash.Unread(fmt.Errorf("--identity: %w", err))
		}
	}
	return reflash.Unread(device.CheckFiles(o.ssh.Config, o.ssh.KnownHosts))
}

// swappedArgs adds to the error about a file that is not there that a file stands where a device is meant, if one does.
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
