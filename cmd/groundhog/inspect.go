package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/extract"
	"groundhog/cmd/internal/inspect"
	"groundhog/initrd"
	"groundhog/manifest"
)

// inspectOptions is the command line of `groundhog inspect`.
type inspectOptions struct {
	list    bool
	all     bool
	cat     string
	extract string
	special bool
	json    bool
	maxSize int64
}

func inspectCmd() *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect INITRD",
		Short: "Show what is in an initramfs: segments, kernel, dropbear, keys, patches",
		Long: `Show what is in an initramfs: its segments, whose it is, how one gets in, and
what groundhog did to it. What is broken in it is shown as a problem; only a
file that is no initramfs at all is an error.

Names and texts from the archive are shown with a backslash doubled, bytes that
are not UTF-8 as \xNN and characters that do not print as \uNNNN or \UNNNNNNNN.
--cat alone gives bytes as they are.

--list and --extract deal with what the kernel ends up with: of several copies
of a path the last. --extract writes inside DIR and nowhere else, wherever the
archive's links lead; a DIR that it makes is open to its owner alone, and one that
is there must be his, with others kept from writing to it. Run by root
it keeps owners. Device nodes, setuid and setgid, which other users of this
machine could use, are left out and counted; --special makes those, too, as root.
An archive that a stranger made is better not unpacked by root.`,
		Example: `  groundhog inspect initrd.img-6.1.0-56-amd64
  groundhog inspect --list initrd.img | grep ' bin'
  groundhog inspect --cat conf/initramfs.conf initrd.img
  groundhog inspect --extract ./tree initrd.img
  groundhog inspect --json initrd.img | jq -r '.host_keys[].fingerprint'

Exit codes: 0 shown or unpacked, problems or not; 2 cannot be read or written.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := runInspect(cmd, args[0], &o)
			if err != nil {
				return printableError{err}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.list, "list", false, "list the entries, as ls -l does, with times in UTC; -v adds segment and inode")
	f.BoolVar(&o.all, "all", false, "with --list: every record of every segment, in order, as cpio -itv does")
	f.StringVar(&o.cat, "cat", "", "print the file at `PATH`, through the archive's symlinks")
	f.StringVar(&o.extract, "extract", "", "unpack into `DIR`, which must be empty or not be there; -v names each entry")
	f.BoolVar(&o.special, "special", false, "with --extract, as root: make device nodes and keep setuid and setgid, too")
	f.BoolVar(&o.json, "json", false, "print JSON, also of --list")
	addMaxSize(f, &o.maxSize, "input")
	cmd.MarkFlagsMutuallyExclusive("list", "cat", "extract")
	cmd.MarkFlagsMutuallyExclusive("json", "cat", "extract")
	return cmd
}

// runInspect is the verb.
func runInspect(cmd *cobra.Command, path string, o *inspectOptions) error {
	stdout, stderr, talk := cmd.OutOrStdout(), cmd.ErrOrStderr(), talkOf(cmd)
	if o.all && !o.list {
		return errors.New("--all: goes with --list")
	}
	if o.special && o.extract == "" {
		return errors.New("--special: goes with --extract")
	}
	in, err := inputsOf(cmd).Archive(path, o.maxSize)
	if err != nil {
		return err
	}
	switch {
	case o.list:
		return o.printList(stdout, in.Image, talk)
	case o.cat != "":
		return catFile(stdout, in.Image, o.cat)
	case o.extract != "":
		return o.unpackInto(stdout, stderr, talk, in.Image)
	}
	found := inspect.Find(in.Image, in.File)
	found.Schema = outputSchema
	if o.json {
		return printJSON(stdout, found)
	}
	return printFound(stdout, found, talk)
}

// printList prints --list.
func (o *inspectOptions) printList(w io.Writer, img *initrd.Image, talk talkLevel) error {
	entries := inspect.List(img, o.all)
	if o.json {
		return printJSON(w, inspect.Listing{Schema: outputSchema, Entries: entries})
	}
	p := newPrinter(w)
	for _, l := range entries {
		if talk == talkVerbose {
			p.printLine("%3d %8d %s", l.Segment, l.Inode, l)
		} else {
			p.printLine("%s", l)
		}
	}
	return p.flush()
}

// unpackInto unpacks the archive into a directory and says what is not as it is there.
func (o *inspectOptions) unpackInto(stdout, stderr io.Writer, talk talkLevel, img *initrd.Image) error {
	p := newPrinter(stdout)
	opt := extract.Options{Special: o.special}
	if talk == talkVerbose {
		opt.Each = func(name string) { p.printLine("%s", manifest.EscapePath(name)) }
	}
	got, err := extract.Into(o.extract, img, opt)
	if err != nil {
		return errors.Join(err, p.flush())
	}
	if talk > talkQuiet {
		p.printLine("%d entries in %s", got.Entries, o.extract)
		notes := newPrinter(stderr)
		for _, n := range got.Notes {
			notes.printLine("note: %s", n)
		}
		notes.flush()
	}
	return reported(stdout, p.flush())
}

// catFile writes the file that name leads to, byte for byte.
func catFile(w io.Writer, img *initrd.Image, name string) error {
	b, err := img.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if e := img.Lookup(name); e != nil && e.IsLink() {
			return fmt.Errorf("reading %s: a symlink to %s, which is not in the archive", name, manifest.EscapePath(string(e.Data)))
		}
		return fmt.Errorf("reading %s: not in the archive", name)
	case errors.Is(err, fs.ErrInvalid):
		return fmt.Errorf("reading %s: not a regular file", name)
	case err != nil:
		return err
	}
	_, err = w.Write(b)
	return err
}
