package main

import (
	"fmt"
	"io"

	"groundhog/cmd/internal/device"
	"groundhog/initrd/show"
	"groundhog/patches"
	"groundhog/patches/undo"
)

// hooksResult is what `groundhog hooks` did.
type hooksResult struct {
	report  *patches.HooksReport
	root    string
	options *hooksOptions
}

// hooksJSON is the report for machines. After a revert there are only files.
type hooksJSON struct {
	Schema   int    `json:"schema"`
	DryRun   bool   `json:"dry_run"`
	Changed  bool   `json:"changed"`
	Reverted bool   `json:"reverted"`
	Build    string `json:"build,omitzero"`
	Release  string `json:"release,omitzero"`
	System   string `json:"system,omitzero"` // derived from that release of Debian: Raspberry Pi OS
	Board    string `json:"board,omitzero"`
	doneJSON
	Files []fileJSON `json:"files"`
}

type fileJSON struct {
	Path   string `json:"path"`   // below ROOT
	Change string `json:"change"` // created, changed or removed
}

// reportHooks says what was done, or would be.
func (r *hooksResult) reportHooks(w io.Writer, talk talkLevel) error {
	err := r.printReport(w, talk)
	if r.options.dryRun {
		return err
	}
	return reported(w, err)
}

func (r *hooksResult) printReport(w io.Writer, talk talkLevel) error {
	switch {
	case r.options.json:
		return r.printJSON(w)
	case talk == talkQuiet && !r.options.dryRun:
		return nil
	}
	if r.options.revert {
		r.printReverted(w, talk)
	} else {
		r.printHooked(w, talk)
	}
	if r.options.dryRun {
		fmt.Fprintln(w, "dry run: nothing was written")
		return r.printDiffs(w)
	}
	if len(r.report.Changes) > 0 {
		fmt.Fprintf(w, "next      %s\n", r.nextStep())
	}
	return nil
}

func (r *hooksResult) printHooked(w io.Writer, talk talkLevel) {
	rep := r.report
	fmt.Fprintf(w, "%s is %s: %s, build %s\n", show.Printable(r.root), systemOf(&rep.Done), changedFiles(len(rep.Changes)), rep.Build)
	printApplied(w, rep.Patches, false)
	if talk == talkVerbose {
		r.printFiles(w)
	}
	printNotes(w, &rep.Done)
}

func (r *hooksResult) printReverted(w io.Writer, talk talkLevel) {
	if len(r.report.Changes) == 0 {
		fmt.Fprintf(w, "%s: nothing to revert\n", show.Printable(r.root))
		return
	}
	fmt.Fprintf(w, "%s: reverted, %s\n", show.Printable(r.root), changedFiles(len(r.report.Changes)))
	if talk == talkVerbose {
		r.printFiles(w)
	}
}

func (r *hooksResult) printFiles(w io.Writer) {
	for _, c := range r.report.Changes {
		fmt.Fprintf(w, "    %-8s %s\n", kindOf(c), show.Printable(c.Path))
	}
}

// printDiffs shows texts as unified diffs, everything else by a line. Secrets are
// never shown.
func (r *hooksResult) printDiffs(w io.Writer) error {
	for _, c := range r.report.Changes {
		if c.After == nil {
			fmt.Fprintf(w, "- %s\n", show.Printable(c.Path))
			continue
		}
		line := fmt.Sprintf("%v %8d %s", c.Mode, len(c.After), c.Path)
		if err := printChange(w, c.Path, c.Before, c.After, line); err != nil {
			return err
		}
	}
	return nil
}

func (r *hooksResult) nextStep() string {
	if isHost(r.root) {
		return "run update-initramfs -u"
	}
	return "chroot " + show.Printable(device.Quote(r.root)) + " update-initramfs -u"
}

func (r *hooksResult) printJSON(w io.Writer) error {
	rep := r.report
	out := hooksJSON{Schema: outputSchema, DryRun: r.options.dryRun, Changed: len(rep.Changes) > 0, Reverted: r.options.revert,
		Build: rep.Build, Release: rep.Release, System: rep.System, Board: rep.Board, doneJSON: jsonOf(&rep.Done), Files: []fileJSON{}}
	for _, c := range rep.Changes {
		out.Files = append(out.Files, fileJSON{c.Path, kindOf(c)})
	}
	return printJSON(w, out)
}

func kindOf(c undo.Change) string {
	switch {
	case c.Before == nil:
		return "created"
	case c.After == nil:
		return "removed"
	}
	return "changed"
}

func changedFiles(n int) string {
	switch n {
	case 0:
		return "nothing to change"
	case 1:
		return "1 file changed"
	}
	return fmt.Sprintf("%d files changed", n)
}
