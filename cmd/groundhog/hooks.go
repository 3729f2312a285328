package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/sidefile"
	"groundhog/patches"
	"groundhog/patches/sysroot"
	"groundhog/patches/undo"
)

// hooksOptions is the command line of `groundhog hooks`: of patch's options,
// those that have to do with a root tree.
type hooksOptions struct {
	patchOptions
	revert bool
}

// archiveFlags is those of patch's flags that have to do with an archive; hooks has all others.
var archiveFlags = []string{"root", "deb", "output", "manifest", "known-hosts", "append", "compression", "level", "max-size"}

func hooksCmd() *cobra.Command {
	o := hooksOptions{patchOptions: patchOptions{Options: patches.Defaults(), maxSize: defaultMaxSize}}
	cmd := &cobra.Command{
		Use:   "hooks ROOT",
		Short: "Have a root tree's own update-initramfs build reflash initramfs",
		Long: `Change the root tree in the directory ROOT so that update-initramfs, run in it,
builds a reflash initramfs by itself. / is this very machine. Needs no more than
the right to write there, and works for any architecture; dropbear-initramfs,
curl and what --tool names have to be installed in the tree. Every boot of such
an initramfs waits for somebody, as long as --wait says, before it goes on.

Changed: dropbear's hook and boot script in usr/share/initramfs-tools, in
etc/initramfs-tools initramfs.conf and modules, and the directory of dropbear's
keys and configuration. Groundhog's own files lie beside them. Originals are kept
in ROOT/` + undo.KeepDir + `; --revert puts them back, unless
somebody changed one of the files since.

A second run replaces the first: what it does not ask for is undone. Keys stay.
An upgrade of dropbear-initramfs brings Debian's scripts back, and the initramfs
is an ordinary one again (update-initramfs says so): run this again then.`,
		Example: `  groundhog hooks ./rootfs --authorized-keys ~/.ssh/id_ed25519.pub
  chroot ./rootfs update-initramfs -u
  groundhog hooks ./rootfs --revert

Exit codes: 0 done, or nothing to change; 1 refused: the root tree does not fit; 2 trouble.
Nothing was changed unless it is 0, or the last line says so.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.in = inputsOf(cmd)
			if o.revert {
				return revertHooks(cmd.OutOrStdout(), talkOf(cmd), args[0], &o)
			}
			return hooks(cmd.OutOrStdout(), talkOf(cmd), args[0], &o)
		},
	}
	o.hookFlags(cmd)
	return cmd
}

func (o *hooksOptions) hookFlags(cmd *cobra.Command) {
	all := &cobra.Command{}
	o.addFlags(all)
	f := cmd.Flags()
	f.SortFlags = false
	all.Flags().VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(archiveFlags, flag.Name) {
			f.AddFlag(flag)
		}
	})
	f.Lookup("authorized-keys").Usage = "who may log in, as in authorized_keys(5): `FILE` (repeatable; default: those in dropbear's directory, or root's)"
	f.Lookup("dry-run").Usage = "write nothing; show what would change as a unified diff"
	f.BoolVar(&o.revert, "revert", false, "undo it all, from the originals")
	f.VisitAll(func(flag *pflag.Flag) {
		if name := flag.Name; name != "revert" && name != "dry-run" && name != "json" {
			cmd.MarkFlagsMutuallyExclusive("revert", name)
		}
	})
}

// otherRun is how long another run on the same root tree may take.
const otherRun = 2 * time.Minute

// holdTree opens a root tree and keeps other runs of the verb away until letGo is called. Two runs at once would mix their changes, and
// the originals that they keep.
func holdTree(root string) (tree *sysroot.Tree, letGo func(), err error) {
	dir, err := os.OpenFile(root, os.O_RDONLY|syscall.O_DIRECTORY, 0) // a named pipe would never open
	if err == nil && !sidefile.TakeTurn(dir, otherRun) {
		dir.Close()
		return nil, nil, hint.To(fmt.Errorf("another run is at work on %s, or somebody else has it locked", root), "fuser "+device.Quote(root)+" says who")
	}
	if tree, err = sysroot.Open(sysroot.Dir(root)); err != nil { // of a directory that cannot be opened, too
		dir.Close()
		return nil, nil, err
	}
	return tree, func() { tree.Close(); dir.Close() }, nil
}

// hooks is the verb: read, work out, write.
func hooks(stdout io.Writer, talk talkLevel, root string, o *hooksOptions) error {
	if err := o.Options.Check(); err != nil {
		return err
	}
	if _, err := o.gatherInputs(); err != nil {
		return err
	}
	tree, letGo, err := holdTree(root)
	if err != nil {
		return err
	}
	defer letGo()
	report, err := patches.Hooks(tree, tree.Layers(), o.Options, "groundhog "+Version)
	switch {
	case errors.Is(err, patches.ErrAnchor):
		return exitCode{exitNo, hint.To(err, "groundhog does not know this version of the file; nothing was written")}
	case err != nil:
		return notFitting(input.ReadHint(err))
	}
	result := &hooksResult{report: report, root: root, options: o}
	if err := o.writeChanges(root, nil, report.Keep, report.Changes); err != nil {
		return err
	}
	return result.reportHooks(stdout, talk)
}

// writeChanges makes the changes, or only finds out whether they could be made.
func (o *hooksOptions) writeChanges(root string, empty []string, groups ...[]undo.Change) error {
	do := undo.Write
	if o.dryRun {
		do = undo.Inside
	}
	err := do(root, empty, groups...)
	if errors.Is(err, undo.ErrOutside) {
		err = exitCode{exitNo, hint.To(fmt.Errorf("%w; nothing was changed", err), "unmount it: what is outside of ROOT is not changed")}
	}
	return err
}

// revertHooks undoes the verb.
func revertHooks(stdout io.Writer, talk talkLevel, root string, o *hooksOptions) error {
	tree, letGo, err := holdTree(root)
	if err != nil {
		return err
	}
	defer letGo()
	back, err := undo.Revert(tree)
	if errors.Is(err, undo.ErrChanged) {
		return exitCode{exitNo, hint.To(fmt.Errorf("reverting %s: %w, nothing was reverted", root, err),
			"put the original back from "+strings.TrimSuffix(root, "/")+"/"+undo.KeepDir+"/original (remove what has none there), then --revert again")}
	} else if err != nil {
		return fmt.Errorf("reverting %s: %w", root, err)
	}
	if back == nil {
		back = &undo.Reverted{}
	}
	result := &hooksResult{report: &patches.HooksReport{Changes: back.Changes}, root: root, options: o}
	if err := o.writeChanges(root, back.Directories, back.Changes, back.Drop); err != nil {
		return err
	}
	return result.reportHooks(stdout, talk)
}

// isHost reports whether root is the root directory of this machine.
func isHost(root string) bool {
	a, err := os.Stat(root)
	if err != nil {
		return false
	}
	b, err := os.Stat("/")
	return err == nil && os.SameFile(a, b)
}
