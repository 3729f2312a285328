package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"groundhog/cmd/internal/inspect"
	"groundhog/initrd/show"
)

// linePrinter writes lines to a terminal. Everything that may come from an archive
// goes through it: what does not print is written as \uNNNN, so that no name
// or comment can move a cursor, set a colour or look like two lines.
type linePrinter struct{ w *bufio.Writer }

func newPrinter(w io.Writer) linePrinter { return linePrinter{bufio.NewWriter(w)} }

func (p linePrinter) printLine(format string, args ...any) {
	p.w.WriteString(show.Printable(fmt.Sprintf(format, args...)))
	p.w.WriteByte('\n')
}

// flush returns the first error of all writes.
func (p linePrinter) flush() error { return p.w.Flush() }

// printableError is an error whose text may hold names from an archive.
type printableError struct{ err error }

func (e printableError) Error() string { return show.Printable(e.err.Error()) }
func (e printableError) Unwrap() error { return e.err }

// printJSON writes v; what does not print is escaped.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(show.JSON(b.Bytes()))
	return err
}

// printFound writes what was found for people. Without -v long lists are cut short.
func printFound(w io.Writer, in *inspect.Found, talk talkLevel) error {
	p := newPrinter(w)
	p.printLine("archive   %s, %s, %s unpacked", in.Name, show.Bytes(in.Size), show.Bytes(in.Unpacked))
	p.printLine("sha256    %s", in.SHA256)
	p.printLine("made by   %s", in.Builder)
	p.printLine("kernel    %s", show.OrNone(in.Kernel))
	p.printLine("for       %s", strings.TrimSpace(in.System+" "+orUnknown(in.Release))+" "+in.Architecture)
	p.printLine("segments")
	p.printLine("  %10s %10s %8s  %-11s %10s %8s  %s", "offset", "size", "padding", "compression", "unpacked", "entries", "content")
	for _, s := range in.Segments {
		p.printLine("  %10d %10d %8d  %-11s %10d %8d  %s", s.Offset, s.Size, s.Padding, s.Compression, s.Unpacked, s.Entries, s.Content)
	}
	printDropbear(p, in)
	printPatches(p, in, talk)
	if len(in.Ignored) > 0 {
		p.printLine("ignored   %d entries that the kernel does not unpack", len(in.Ignored))
		for i, name := range in.Ignored {
			if i == 10 && talk < talkVerbose {
				p.printLine("  and %d more (-v shows them)", len(in.Ignored)-i)
				break
			}
			p.printLine("  %s", name)
		}
	}
	for _, text := range in.Problems {
		p.printLine("problem   %s", text)
	}
	return p.flush()
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown release"
	}
	return s
}

func printDropbear(p linePrinter, in *inspect.Found) {
	if d := in.Dropbear; d == nil {
		p.printLine("dropbear  none")
	} else {
		version := d.Version
		if version == "" {
			version = "of unknown version"
		}
		p.printLine("dropbear  %s, script %s", version, map[string]string{"pristine": "as Debian has it",
			"patched": "patched by groundhog", "unknown": "of unknown shape", "missing": "missing"}[d.Script])
		for _, line := range d.Config {
			p.printLine("  %s", line)
		}
		if !slices.Equal(d.Ports, []uint16{22}) {
			p.printLine("  listens on port %s", strings.Trim(fmt.Sprint(d.Ports), "[]"))
		}
		if d.Forced != "" {
			p.printLine("  every login runs %s", d.Forced)
		}
	}
	for _, k := range in.HostKeys {
		p.printLine("host key  %s", k.Identity)
	}
	for _, k := range in.Authorized {
		p.printLine("login     %s", k.Identity)
		if k.Options != "" {
			p.printLine("  with %s", k.Options)
		}
	}
}

func printPatches(p linePrinter, in *inspect.Found, talk talkLevel) {
	if r := in.Patches; r == nil {
		p.printLine("patched   no")
	} else {
		p.printLine("patched   by %s, build %s, release %s, board %s", r.Tool, r.Build, show.OrNone(r.Release), show.OrNone(r.Board))
		for _, patch := range r.Patches {
			p.printLine("  %-16s %s", patch.Name, patch.Summary)
			if talk < talkVerbose {
				continue
			}
			for _, name := range patch.Paths {
				p.printLine("    %s", name)
			}
		}
	}
	if len(in.Settings) > 0 {
		p.printLine("settings")
	}
	for _, s := range in.Settings {
		p.printLine("  %s=%s", s.Name, s.Value)
	}
}
