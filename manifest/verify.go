package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/show"
)

// Deviation is one thing in which an archive is not as its manifest says.
type Deviation struct {
	Where string `json:"where"`         // a path, "segment 0", "archive", or a field of the manifest
	What  string `json:"what"`          // "mode", "sha256"; "missing" or "extra" of a whole entry
	Want  string `json:"want,omitzero"` // what the manifest says
	Got   string `json:"got,omitzero"`  // what the archive has
}

// String is the deviation as one line.
func (d Deviation) String() string {
	where := show.Printable(d.Where)
	switch d.What {
	case "missing":
		return where + ": missing"
	case "extra":
		return where + ": not in the manifest"
	}
	if d.Want == "" && d.Got == "" {
		return where + ": " + show.Printable(d.What)
	}
	return fmt.Sprintf("%s: %s is %s, the manifest says %s", where, d.What, show.OrNone(d.Got), show.OrNone(d.Want))
}

// Verify holds an archive, as it was read, against its manifest: the file as a
// whole, segment by segment, entry by entry, and what the manifest draws from
// them. It returns what deviates, nothing if all is as it should be.
func Verify(img *initrd.Image, m *Manifest) ([]Deviation, error) {
	if m.Source != Initramfs {
		return nil, errors.New("this manifest is of a root tree, not of an archive")
	}
	got, err := Of(img)
	if err != nil {
		return nil, err
	}
	v := new(verifier)
	v.wantEqual("archive", "sha256", m.Archive.SHA256, got.Archive.SHA256)
	v.wantEqual("archive", "size", formatNumber(m.Archive.Size), formatNumber(got.Archive.Size))
	v.wantEqual("archive", "unpacked", formatNumber(m.Archive.Unpacked), formatNumber(got.Archive.Unpacked))
	v.compareSegments(m.Segments, got.Segments)
	v.compareDerived(m, got)
	v.compareEntries(m.Entries, got.Entries)
	v.compareAside("shadowed", m.Shadowed, got.Shadowed)
	v.compareAside("ignored", m.Ignored, got.Ignored)
	return v.found, nil
}

type verifier struct{ found []Deviation }

func (v *verifier) wantEqual(where, what, want, got string) {
	if want != got {
		v.found = append(v.found, Deviation{where, what, want, got})
	}
}

func formatNumber[N int | int64 | uint32](n N) string { return strconv.FormatInt(int64(n), 10) }

func (v *verifier) compareSegments(want, got []Segment) {
	v.wantEqual("archive", "number of segments", formatNumber(len(want)), formatNumber(len(got)))
	for i := range min(len(want), len(got)) {
		w, g, where := want[i], got[i], "segment "+formatNumber(i)
		v.wantEqual(where, "offset", formatNumber(w.Offset), formatNumber(g.Offset))
		v.wantEqual(where, "size", formatNumber(w.Size), formatNumber(g.Size))
		v.wantEqual(where, "padding", formatNumber(w.Padding), formatNumber(g.Padding))
		v.wantEqual(where, "unpacked", formatNumber(w.Unpacked), formatNumber(g.Unpacked))
		v.wantEqual(where, "compression", w.Compression, g.Compression)
		v.wantEqual(where, "entries", formatNumber(w.Entries), formatNumber(g.Entries))
		if w.SHA256 != "" {
			v.wantEqual(where, "sha256", w.SHA256, g.SHA256)
		}
	}
}

// compareDerived compares what a manifest says beside the entries. The release may be
// known from elsewhere; only a record that contradicts it counts.
func (v *verifier) compareDerived(want, got *Manifest) {
	v.wantEqual("manifest", "architecture", want.Architecture, got.Architecture)
	if got.Release != "" {
		v.wantEqual("manifest", "release", want.Release, got.Release)
	}
	v.wantEqual("manifest", "dropbear", strconv.FormatBool(want.Dropbear), strconv.FormatBool(got.Dropbear))
	v.wantEqual("manifest", "kernels", strings.Join(want.Kernels, " "), strings.Join(got.Kernels, " "))
	v.wantEqual("manifest", "host_keys", keyText(want.HostKeys), keyText(got.HostKeys))
	v.wantEqual("manifest", "authorized_keys", keyText(want.AuthorizedKeys), keyText(got.AuthorizedKeys))
	v.wantEqual("manifest", "patches", patchText(want), patchText(got))
}

func keyText(keys []Key) string {
	var all []string
	for _, k := range keys {
		all = append(all, fmt.Sprintf("%s %d %s %s %s", k.Path, k.Bits, k.Type, k.Fingerprint, k.Comment))
	}
	return strings.Join(all, "; ")
}

func patchText(m *Manifest) string {
	var all []string
	if g := m.Groundhog; g != nil {
		all = append(all, g.Tool, g.Build, g.Board)
	}
	for _, p := range m.Patches {
		all = append(all, p.Name+": "+p.Summary+" ("+strings.Join(p.Paths, " ")+")")
	}
	return strings.Join(all, "; ")
}

// compareEntries compares two sorted lists whose paths are unique.
func (v *verifier) compareEntries(want, got []Entry) {
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0].Path < got[0].Path:
			v.found = append(v.found, Deviation{Where: want[0].Path, What: "missing"})
			want = want[1:]
		case len(want) == 0 || got[0].Path < want[0].Path:
			v.found = append(v.found, Deviation{Where: got[0].Path, What: "extra"})
			got = got[1:]
		default:
			v.compareEntry(&want[0], &got[0])
			want, got = want[1:], got[1:]
		}
	}
}

func (v *verifier) compareEntry(w, g *Entry) {
	v.wantEqual(w.Path, "type", string(w.Type), string(g.Type))
	v.wantEqual(w.Path, "mode", w.Mode.String(), g.Mode.String())
	v.wantEqual(w.Path, "uid", formatNumber(w.UID), formatNumber(g.UID))
	v.wantEqual(w.Path, "gid", formatNumber(w.GID), formatNumber(g.GID))
	v.wantEqual(w.Path, "size", formatNumber(w.Size), formatNumber(g.Size))
	v.wantEqual(w.Path, "mtime", formatNumber(w.Mtime), formatNumber(g.Mtime))
	v.wantEqual(w.Path, "segment", formatNumber(w.Segment), formatNumber(g.Segment))
	v.wantEqual(w.Path, "sha256", w.SHA256, g.SHA256)
	v.wantEqual(w.Path, "stable_sha256", w.Stable, g.Stable)
	v.wantEqual(w.Path, "target", w.Target, g.Target)
	v.wantEqual(w.Path, "device", w.Device, g.Device)
	v.wantEqual(w.Path, "link_of", w.LinkOf, g.LinkOf)
	v.wantEqual(w.Path, "patch", w.Patch, g.Patch)
}

// compareAside compares lists in which a path may come more than once.
func (v *verifier) compareAside(where string, want, got []Entry) {
	strip := func(list []Entry) map[Entry]int {
		counts := map[Entry]int{}
		for _, e := range list {
			e.Origin = nil
			counts[e]++
		}
		return counts
	}
	w, g := strip(want), strip(got)
	if maps.Equal(w, g) {
		return
	}
	names := func(list []Entry, other map[Entry]int) string {
		var all []string
		for _, e := range list {
			if e.Origin = nil; other[e] == 0 {
				all = append(all, e.Path)
			}
		}
		return strings.Join(slices.Compact(all), " ")
	}
	v.found = append(v.found, Deviation{"manifest", where, names(want, g), names(got, w)})
}
