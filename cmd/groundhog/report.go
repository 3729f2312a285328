package main

import (
	"fmt"
	"io"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/show"
	"groundhog/patches"
)

// patchResult is what `groundhog patch` did.
type patchResult struct {
	report  *patches.Report
	options *patchOptions
	edits   []initrd.Edit
	before  int64 // bytes of the input
	after   int64 // bytes of the archive; 0 in a dry run
	sha256  string
	source  string // the input as given
	same    bool   // the input is what was asked for
	wrote   []string
}

// patchJSON is the report for machines. Paths are as given on the command
// line; sizes are in bytes.
type patchJSON struct {
	Schema       int    `json:"schema"`
	DryRun       bool   `json:"dry_run"`
	Changed      bool   `json:"changed"`
	Build        string `json:"build"`
	Release      string `json:"release"`
	System       string `json:"system,omitzero"` // derived from that release of Debian: Raspberry Pi OS
	Architecture string `json:"architecture"`
	Kernel       string `json:"kernel"`
	Board        string `json:"board"`
	doneJSON
	SizeBefore int64  `json:"size_before"`
	SizeAfter  int64  `json:"size_after,omitzero"`
	SHA256     string `json:"sha256,omitzero"`
	Archive    string `json:"archive,omitzero"`
	Manifest   string `json:"manifest,omitzero"`
	KnownHosts string `json:"known_hosts,omitzero"`
}

// doneJSON is what patch and hooks both say of what was done. A list is [] where there is nothing, never null.
type doneJSON struct {
	Patches        []patches.Applied  `json:"patches"`
	Firmware       []patches.Firmware `json:"firmware"`
	Notes          []string           `json:"notes"`
	HostKeys       []keyJSON          `json:"host_keys"`
	AuthorizedKeys []keyJSON          `json:"authorized_keys"`
}

func jsonOf(d *patches.Done) doneJSON {
	out := doneJSON{Patches: append([]patches.Applied{}, d.Patches...), Firmware: append([]patches.Firmware{}, d.Firmware...),
		Notes: append([]string{}, d.Notes...), HostKeys: []keyJSON{}, AuthorizedKeys: []keyJSON{}}
	for i := range out.Patches {
		out.Patches[i].Paths = append([]string{}, out.Patches[i].Paths...)
	}
	for _, k := range d.HostKeys {
		out.HostKeys = append(out.HostKeys, keyJSON{k.Public().Type(), k.Fingerprint(), ""})
	}
	for _, k := range d.AuthorizedKeys {
		out.AuthorizedKeys = append(out.AuthorizedKeys, keyJSON{k.Type(), k.Fingerprint(), k.Comment})
	}
	return out
}

type keyJSON struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Comment     string `json:"comment,omitzero"`
}

func (r *patchResult) printReport(w io.Writer, talk talkLevel, img *initrd.Image) error {
	switch {
	case r.options.json:
		return r.printJSON(w)
	case talk == talkQuiet && !r.options.dryRun:
		return nil
	}
	r.printText(w, talk)
	if r.options.dryRun {
		return printEdits(w, img, r.edits)
	}
	return nil
}

// systemOf is a release by the name of who made it.
func systemOf(d *patches.Done) string { return strings.TrimSpace(d.System + " " + d.Release) }

func (r *patchResult) printText(w io.Writer, talk talkLevel) {
	rep := r.report
	state := "reflash initramfs"
	if r.same {
		state = "already patched, nothing to do:"
	}
	fmt.Fprintf(w, "%s for %s %s, kernel %s, build %s\n", state, systemOf(&rep.Done), show.OrNone(rep.Arch), show.OrNone(rep.Kernel), rep.Build)
	printApplied(w, rep.Patches, talk == talkVerbose)
	printNotes(w, &rep.Done)
	if r.options.dryRun {
		fmt.Fprintln(w, "dry run: nothing was written")
		return
	}
	switch {
	case r.options.unneeded:
		fmt.Fprintf(w, "archive   none written: %s is what was asked for (--output FILE makes a copy)\n", show.Printable(r.source))
	case r.same:
		fmt.Fprintf(w, "size      %s (a copy of %s, byte for byte: there was nothing to do)\n", show.Bytes(r.after), show.Printable(r.source))
	default:
		fmt.Fprintf(w, "size      %s -> %s (%s)\n", show.Bytes(r.before), show.Bytes(r.after), r.howWritten())
	}
	for i, what := range []string{"archive", "manifest", "identity"} {
		switch name := r.wrote[i]; {
		case name == "" && r.options.unneeded:
		case name == "":
			fmt.Fprintf(w, "%-9s not written: --%s names a file for it\n", what, []string{"output", "manifest", "known-hosts"}[i])
		case name == stdioName:
			fmt.Fprintf(w, "%-9s standard output\n", what)
		default:
			fmt.Fprintf(w, "%-9s %s\n", what, show.Printable(name))
		}
	}
}

// printApplied says what each patch did; paths, to which entries.
func printApplied(w io.Writer, all []patches.Applied, paths bool) {
	for _, a := range all {
		mark := " "
		if a.Changed {
			mark = "+"
		}
		fmt.Fprintf(w, "%s %-16s %s\n", mark, a.Name, a.Summary)
		if paths {
			for _, p := range a.Paths {
				fmt.Fprintf(w, "    %s\n", show.Printable(p))
			}
		}
	}
}

// printNotes says what is worth knowing of what was done, who will answer and who may log in.
func printNotes(w io.Writer, d *patches.Done) {
	for _, n := range d.Notes {
		fmt.Fprintf(w, "! %s\n", show.Printable(n))
	}
	for _, k := range d.HostKeys {
		fmt.Fprintf(w, "host key  %s\n", k.Describe(""))
	}
	for _, k := range d.AuthorizedKeys {
		fmt.Fprintf(w, "login     %s\n", show.Printable(k.String()))
	}
}

// howWritten says in which way the archive was written.
func (r *patchResult) howWritten() string {
	if r.options.appended {
		return "appended"
	}
	return "repacked"
}

func (r *patchResult) printJSON(w io.Writer) error {
	rep := r.report
	out := patchJSON{Schema: outputSchema, DryRun: r.options.dryRun, Changed: rep.Changed(), Build: rep.Build, Release: rep.Release, System: rep.System,
		Architecture: rep.Arch, Kernel: rep.Kernel, Board: rep.Board, doneJSON: jsonOf(&rep.Done),
		SizeBefore: r.before, SizeAfter: r.after, SHA256: r.sha256}
	if len(r.wrote) == 3 { // the archive may be on standard output, and the others nowhere
		out.Archive, out.Manifest, out.KnownHosts = r.wrote[0], r.wrote[1], r.wrote[2]
	}
	return printJSON(w, out)
}

// printEdits shows what would change: texts as a unified diff, everything else
// by a line. Secrets are never shown.
func printEdits(w io.Writer, img *initrd.Image, edits []initrd.Edit) error {
	for _, e := range edits {
		if e.After == nil {
			fmt.Fprintf(w, "- %s\n", show.Printable(e.Name))
			continue
		}
		after := img.Content(e.After)
		line := fmt.Sprintf("%s %8d %s", e.After.ModeString(), len(after), e.Name)
		if !e.After.IsFile() {
			if e.After.IsLink() {
				line += " -> " + string(e.After.Data)
			}
			fmt.Fprintf(w, "+ %s\n", show.Printable(line))
			continue
		}
		var before []byte
		if e.Before != nil {
			before = append([]byte{}, img.Content(e.Before)...)
		}
		if err := printChange(w, e.Name, before, after, line); err != nil {
			return err
		}
	}
	return nil
}
