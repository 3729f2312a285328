package main

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/output"
	"groundhog/initrd/debian/dropbear"
	"groundhog/manifest"
	"groundhog/patches"
)

// defaultMaxSize is what an archive, or a .deb, may unpack to, in bytes.
const defaultMaxSize = 2 << 30

// addMaxSize adds --max-size, which bounds what input unpacks to.
func addMaxSize(f *pflag.FlagSet, size *int64, input string) {
	*size = defaultMaxSize
	f.Var((*cli.Size)(size), "max-size", "refuse "+input+" that unpacks to more than `SIZE`")
}

// patchOptions is the command line of `groundhog patch`.
type patchOptions struct {
	patches.Options
	root           input.Layers
	output         string
	manifest       string
	knownHosts     string
	in             *input.Files
	authorizedKeys []string
	hostKeys       []string
	ca             string
	named          bool // --output names it
	unneeded       bool // the archive is what was asked for, and no second one is written
	noWriter       bool
	appended       bool
	compression    string
	level          int
	maxSize        int64
	dryRun         bool
	json           bool
}

func patchCmd() *cobra.Command {
	o := patchOptions{Options: patches.Defaults()}
	cmd := &cobra.Command{
		Use:   "patch INITRD",
		Short: "Make a reflash initramfs, its manifest and its known_hosts",
		Long: `Make a reflash initramfs from a target's own: one that brings the network up,
starts dropbear and waits. Works offline, without root, for any architecture.

What the archive lacks is taken from the target's root tree (--root, --deb).
Beside the archive come its manifest (.manifest.json) and the known_hosts
(.known_hosts) that the device will answer to. The archive is 0600: it holds
the device's private host keys. Where there is nothing to change nothing is
written, unless --output names a file: that becomes a copy.

A repack encodes the edited segment again. For a zstd archive the default is
level 1: 43 MB of bookworm in a second, where level 3 makes 42 MB in 1.3 s,
level 9 41 MB in 4 s, and level 19 37 MB in 20 s ('make bench' prints the
table). xz is written at some 3 MB/s, for devices whose /boot is too small for
anything else. --append leaves the input's bytes alone and takes half as long,
but lsinitramfs and unmkinitramfs of bookworm cannot list an archive with a
segment behind zstd.`,
		Example: `  groundhog patch initrd.img-6.1.0-56-amd64 --root ./rootfs \
      --authorized-keys ~/.ssh/id_ed25519.pub -o reflash.img
  groundhog patch initrd.img --deb ./debs --board cm3 --wait 30m -o reflash.img

Exit codes: 0 done, or nothing to change; 1 refused: the archive or the root tree does not
fit; 2 trouble. Nothing was written unless it is 0, or the last line says so.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.in = inputsOf(cmd)
			return patch(cmd.OutOrStdout(), cmd.ErrOrStderr(), talkOf(cmd), args[0], &o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *patchOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(o.root.Flag(false), "root", "take what is missing from the root tree in `DIR` (repeatable, later ones on top)")
	f.Var(o.root.Flag(true), "deb", "the same from a .deb `FILE-or-DIR` of them (repeatable, later ones on top)")
	f.StringVarP(&o.output, "output", "o", "", "write the archive to `FILE`, - for standard output (default: INITRD's name with .groundhog, here)")
	f.StringVar(&o.manifest, "manifest", "", "write the manifest to `FILE` (default: the archive's name with .manifest.json)")
	f.StringVar(&o.knownHosts, "known-hosts", "", "write the device's host keys to `FILE` (default: the archive's name with .known_hosts)")
	f.StringVar(&o.Release, "release", "", "the target's Debian release: "+strings.Join(dropbear.Releases(), ", ")+" (default: found out)")
	f.StringVar(&o.Board, "board", o.Board, "the target's `BOARD`: "+strings.Join(patches.Boards, ", "))
	f.StringArrayVar(&o.Modules, "module", nil, "add and load kernel module `NAME` with what it needs (repeatable)")
	f.Func("device", "the network `INTERFACE` to configure and wait for, or any (default: what is configured, else eth0)", func(v string) error {
		if o.Device = v; v == "" {
			return errors.New("device \"\": not the name of a network interface")
		}
		return nil
	})
	f.DurationVar(&o.InterfaceTimeout, "interface-timeout", o.InterfaceTimeout, "how long to wait for it")
	f.StringVar(&o.MAC, "mac", "", "set its MAC before DHCP asks: `ADDR`, cmdline or keep (default: keep; cmdline for cm3)")
	f.DurationVar(&o.Wait, "wait", o.Wait, "how long to wait for somebody; 0 boots on at once")
	f.BoolVar(&o.Curl, "curl", o.Curl, "add curl")
	f.StringArrayVar(&o.Tools, "tool", nil, "add a further program, by name or `PATH` in the root tree (repeatable)")
	f.BoolVar(&o.noWriter, "no-writer", false, "leave out groundhog-writer, without which flash can do no more than --via curl")
	f.StringVar(&o.ca, "ca", "", "certificates for https, as PEM `FILE` (default: the root tree's)")
	f.StringArrayVar(&o.authorizedKeys, "authorized-keys", nil, "who may log in, as in authorized_keys(5): `FILE` (repeatable; default: the archive's, or root's in the root tree)")
	f.StringArrayVar(&o.DropbearOptions, "dropbear-option", nil, "give dropbear `OPTIONS`, -p 2222 say, in the place of those in its configuration (repeatable)")
	f.StringArrayVar(&o.hostKeys, "host-key", []string{"keep"}, "keep, new, or `FILE` with a dropbear or OpenSSH private key (repeatable)")
	f.BoolVar(&o.appended, "append", false, "leave the input's bytes alone and append a segment")
	f.StringVar(&o.compression, "compression", "keep", "of the segment that is encoded again: "+strings.Join(flagChoices("patch", "compression"), ", "))
	f.IntVar(&o.level, "level", 0, "of that compression (default: zstd 1, gzip 6, xz 6, lz4 1)")
	addMaxSize(f, &o.maxSize, "input")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing; show what each patch would change")
	f.BoolVar(&o.json, "json", false, "report as JSON")
}

// patch is the verb: read, apply, write.
func patch(stdout, stderr io.Writer, talk talkLevel, path string, o *patchOptions) error {
	if o.output == stdioName && !o.dryRun && isTerminal(stdout) {
		return hint.To(errors.New("an archive is no text, and has private keys in it: it is not written to a terminal"), "--output FILE, or a pipe, takes it")
	}
	var programs []string
	if o.Curl {
		programs = []string{"usr/bin/curl"}
	}
	root := o.root.OpenAhead(o.maxSize, programs...)
	defer root.Close()
	in, err := o.readArchive(path)
	if err != nil {
		return err
	}
	o.named = o.output != ""
	switch {
	case o.named:
	case input.IsPipe(path):
		return hint.To(errors.New("standard input has no name that the archive could be named after"), "name the archive with --output")
	default:
		o.output = filepath.Base(path) + ".groundhog"
	}
	if err := output.Check(o.outputNames(), append(o.inputFiles(), path)); err != nil {
		return err
	}
	if err := o.Options.Check(); err != nil {
		return err
	}
	inputs, err := o.gatherInputs()
	if err != nil {
		return err
	}
	if err := o.checkEncoding(in.Image); err != nil {
		return err
	}
	report, err := o.applyPatches(in, root)
	if err != nil {
		return err
	}
	result := &patchResult{report: report, before: in.File.Size, edits: in.Image.Edits(), options: o,
		source: path, same: !report.Changed() && o.compression == "keep"}
	if result.same && !o.named {
		o.output, o.unneeded = input.Name(path), true
	}
	if o.dryRun {
		return result.printReport(stdout, talk, in.Image)
	}
	tree, err := root.Tree()
	if err != nil {
		return err
	}
	if err := o.writeAll(stdout, in.Image, tree, append([]manifest.Input{in.File}, inputs...), result); err != nil {
		return err
	}
	if o.printsToStdout() {
		stdout = stderr
	}
	return reported(stdout, result.printReport(stdout, talk, in.Image))
}

// readArchive reads the input; an appended segment needs hardly anything of it.
func (o *patchOptions) readArchive(path string) (*input.Archive, error) {
	if o.appended {
		return o.in.SkimArchive(path, o.maxSize, input.ForAppended)
	}
	return o.in.Archive(path, o.maxSize)
}

func (o *patchOptions) applyPatches(in *input.Archive, root *input.Opening) (*patches.Report, error) {
	tree, err := root.Tree()
	if err != nil {
		return nil, err
	}
	var report *patches.Report
	tool := "groundhog " + Version
	if tree == nil {
		report, err = patches.Apply(in.Image, nil, nil, o.Options, tool, in.File.SHA256)
	} else {
		report, err = patches.Apply(in.Image, tree, tree.Layers(), o.Options, tool, in.File.SHA256)
	}
	switch {
	case err == nil:
		return report, nil
	case errors.Is(err, patches.ErrAnchor):
		err = hint.To(err, "groundhog does not know this version of the script; nothing was written")
	case errors.Is(err, fs.ErrPermission) && errors.Is(err, patches.ErrHostKeys):
		err = hint.To(err, "run it as the user who made the root tree; --host-key new does without its host keys")
	case len(o.root) == 0 && strings.Contains(err.Error(), "no root tree"):
		err = hint.To(err, "--root DIR names the target's root file system as it is on this machine")
	}
	return nil, notFitting(input.ReadHint(err))
}

// notFitting is an error of the patches that says that their input does not fit: nothing was changed, exit 1. An error of the
// system is trouble, and stays as it is.
func notFitting(err error) error {
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return err
	}
	return exitCode{exitNo, err}
}
