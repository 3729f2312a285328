package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/output"
	"groundhog/manifest/diff"

	"github.com/spf13/cobra"
)

// diffOptions is the command line of `groundhog diff`.
type diffOptions struct {
	oldRoot, newRoot input.Layers
	format           string
	json             bool
	html             string
	failOn           string
	all              bool
	content          bool
	maxSize          int64
	in               *input.Files
}

func diffCmd() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff OLD NEW [NEWER...]",
		Short: "Say what changed between two builds",
		Long: `Say what changed from OLD to NEW. Each is a manifest, an initramfs or a root
tree, told apart by content. Changes are grouped by package where the manifests
know packages, or --old-root and --new-root name the root trees; the largest
growth comes first. Text is what fits on a screen; what it leaves out it counts,
and -v lists all of it.

Of more than two, in order of time, --html is a page of the size of each package over
all of them; everything else is about the first and the last.

What differs from build to build and means nothing is folded and counted:
times, inodes, the random name of root's home, ld.so.cache. --all lists it.

File capabilities are compared where both manifests tell them. That of a root tree by
groundhog up to 0.13.0 does not: the report says so, and of the files that NEW has
only those that OLD had not count. Make such a manifest anew.

--fail-on makes it a gate: exit code 1 only for what is listed. The rules:
any, added, removed, changed, moved, content, mode, owner, type, target, device,
setuid (a file that gains it, or file capabilities), writable (by anybody, but for sticky directories),
unknown (from no package), keys (what says who may log in), packages, patches,
segments, modules, kernel, release, architecture, and size>LIMIT (of the file), unpacked>LIMIT (of all content), own>LIMIT (of the content that groundhog
put there or changed, as the archive's record of patches says) and rest>LIMIT (of all
other content), where LIMIT is a growth in percent or bytes.`,
		Example: `  groundhog diff yesterday.json initrd.img-6.1.0-56-amd64 --new-root ./rootfs
  groundhog diff old.img new.img --content --html report.html
  groundhog diff builds/*.json --html history.html
  groundhog diff old.json new.json --format markdown --fail-on 'setuid,keys,size>5%'

Exit codes: 0 same, or nothing that --fail-on lists; 1 different; 2 trouble.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.in = inputsOf(cmd)
			return compareSources(cmd.OutOrStdout(), talkOf(cmd), args, &o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.format, "format", "text", "text, json, markdown (for a merge request) or html")
	f.BoolVar(&o.json, "json", false, "the same as --format json")
	cmd.MarkFlagsMutuallyExclusive("format", "json")
	f.StringVar(&o.html, "html", "", "write a report for a browser to `FILE`, besides; - for standard output, and nothing else there")
	f.StringVar(&o.failOn, "fail-on", "", "exit with 1 only if a rule in `LIST` is broken")
	f.BoolVar(&o.all, "all", false, "list what is folded, too")
	f.BoolVar(&o.content, "content", false, "show what changed in text files (both sides archives)")
	f.Var(o.oldRoot.Flag(false), "old-root", "attribute OLD's files by the root tree in `DIR` (repeatable)")
	f.Var(o.newRoot.Flag(false), "new-root", "attribute NEW's files by the root tree in `DIR` (repeatable)")
	addMaxSize(f, &o.maxSize, "input")
	return cmd
}

// comparison is two sides and what changed between them.
type comparison struct {
	old, now *input.Source
	builds   []diff.Build // all of them, if there are more than two
	changes  *diff.Changes
	talk     talkLevel
}

// diffFormats are the ways to write it.
var diffFormats = map[string]func(*comparison, io.Writer) error{
	"text": func(c *comparison, w io.Writer) error {
		if c.talk == talkVerbose {
			return c.changes.WriteText(w, wantsColor(w))
		}
		return c.changes.WriteBrief(w, wantsColor(w))
	},
	"json":     func(c *comparison, w io.Writer) error { return c.changes.WriteJSON(w) },
	"markdown": func(c *comparison, w io.Writer) error { return c.changes.WriteMarkdown(w) },
	"html":     (*comparison).writeHTML,
}

func (c *comparison) writeHTML(w io.Writer) error {
	if len(c.builds) > 2 {
		return diff.WriteHistory(w, c.builds)
	}
	return c.changes.WriteHTML(w, c.old.Manifest, c.now.Manifest)
}

// compareSources is the verb: paths are two sides or, for a page, builds in order of time.
func compareSources(stdout io.Writer, talk talkLevel, paths []string, o *diffOptions) error {
	if o.json {
		o.format = "json"
	}
	if o.html == stdioName && o.format != "text" {
		return hint.To(fmt.Errorf("--html - and %s are both for standard output", o.format), "--html FILE writes the page besides")
	}
	report := diffFormats[o.format]
	if len(paths) > 2 && o.html == "" && o.format != "html" {
		return hint.To(fmt.Errorf("%d builds: a report is of two", len(paths)), "--html FILE writes a page of all of them")
	}
	if err := output.Check([]string{o.html}, slices.Concat(paths, o.oldRoot.Packages(), o.newRoot.Packages())); err != nil {
		return err
	}
	var rules []diff.Rule
	if o.failOn != "" {
		var err error
		if rules, err = diff.ParseRules(o.failOn); err != nil {
			return fmt.Errorf("--fail-on: %w", err)
		}
	}
	all, builds, err := o.readSides(paths)
	if err != nil {
		return err
	}
	old, now := all[0], all[len(all)-1]
	c := &comparison{old, now, builds, diff.Of(old.Manifest, now.Manifest, o.all), talk}
	if err := c.changes.Judges(rules); err != nil {
		return hint.To(fmt.Errorf("--fail-on: %w", err), "--new-root DIR names the root tree that NEW was made in; or take a manifest that was made with --root")
	}
	if o.content {
		if old.Image == nil || now.Image == nil {
			return errors.New("--content: both sides must be archives: a manifest has no content")
		}
		if err := c.changes.AddText(old.Image, now.Image); err != nil {
			return err
		}
	}
	c.changes.Gate(rules)
	if o.html != "" {
		out := output.Files{Stdout: stdout}
		defer out.Discard()
		if err := out.Write(o.html, 0o644, c.writeHTML); err != nil {
			return err
		}
		if err := out.Commit(); err != nil {
			return err
		}
	}
	if (talk != talkQuiet || o.format == "json") && o.html != stdioName {
		if err := report(c, stdout); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	if len(c.changes.Tripped) > 0 || rules == nil && !c.changes.Same {
		return exitCode{code: exitNo}
	}
	return nil
}

// readSides reads all sides, two at once. Root trees are of the first and the last.
func (o *diffOptions) readSides(paths []string) ([]*input.Source, []diff.Build, error) {
	builds := make([]diff.Build, len(paths))
	all, errs := make([]*input.Source, len(paths)), make([]error, len(paths))
	var group sync.WaitGroup
	room := make(chan struct{}, 2)
	for i, path := range paths {
		var root input.Layers
		switch i {
		case 0:
			root = o.oldRoot
		case len(paths) - 1:
			root = o.newRoot
		}
		room <- struct{}{}
		group.Go(func() {
			all[i], errs[i] = o.in.Source(path, root, o.maxSize)
			if errs[i] == nil {
				errs[i] = all[i].Foreign(root)
			}
			if errs[i] == nil && len(paths) > 2 {
				builds[i], errs[i] = diff.BuildOf(cmp.Or(input.ManifestName(path), "standard input"), all[i].Manifest)
			}
			if i > 0 && i < len(paths)-1 {
				all[i] = nil // only the outer two are compared
			}
			<-room
		})
	}
	group.Wait()
	return all, builds, cmp.Or(errs...)
}

// wantsColor reports whether w is a terminal that wants colour (no-color.org).
func wantsColor(w io.Writer) bool {
	f, ok := output.Behind(w).(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || slices.Contains([]string{"", "dumb"}, os.Getenv("TERM")) {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
