package patches

import (
	"fmt"
	"io/fs"
	"slices"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
)

// Applied is what one patch did.
type Applied struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary"`
	Changed bool     `json:"changed"`
	Paths   []string `json:"paths"` // that it touched, sorted
}

// Done is what patches did, to an archive or to a root tree.
type Done struct {
	Build          string // the id of the archive, or of those to be built; lower-case hexadecimal
	Release        string
	System         string // what is derived from that release of Debian: "Raspberry Pi OS"; "" for Debian itself
	Board          string
	Patches        []Applied
	Firmware       []Firmware // that the wanted modules ask for
	Notes          []string   // what the user should know
	HostKeys       []*dropbear.HostKey
	AuthorizedKeys []dropbear.AuthorizedKey
}

// Report is what [Apply] did and found.
type Report struct {
	Done
	Kernel string
	Arch   string
	Port   uint16 // that dropbear listens on
}

// Changed reports whether any patch changed anything.
func (r *Report) Changed() bool {
	return slices.ContainsFunc(r.Patches, func(a Applied) bool { return a.Changed })
}

// Apply applies all patches that opts asks for to img. tool names the program
// and its version in the archive's record; source identifies the archive that
// img was read from (its SHA-256). After an error img is in no useful state.
func Apply(img *initrd.Image, root fs.FS, layers []string, opts Options, tool, source string) (*Report, error) {
	t, err := openArchive(img, root, layers, opts)
	if err != nil {
		return nil, err
	}
	r := &Report{Done: Done{Release: t.Release, System: t.System, Board: t.opts.Board}, Kernel: t.Kernel, Arch: t.Arch}
	for _, p := range All() {
		if p.Archive == nil {
			continue
		}
		t.touched = nil
		summary, err := p.Archive(t)
		if err != nil {
			return nil, fmt.Errorf("patch %s: %w", p.Name, err)
		}
		if summary == "" {
			continue // not asked for
		}
		slices.Sort(t.touched)
		t.all = append(t.all, t.touched...)
		r.Patches = append(r.Patches, Applied{p.Name, summary, len(t.touched) > 0, t.touched})
	}
	if err := t.checkCalls(); err != nil {
		return nil, err
	}
	t.noteScripts()
	if err := t.noteDriver(); err != nil {
		return nil, err
	}
	if err := t.leaveRecord(r, tool, source); err != nil {
		return nil, err
	}
	facts := t.facts()
	if why := facts.WithoutModules(); why != "" {
		if t.Kernel == "" {
			why += "; push takes it to a device alone that has loaded no modules"
		}
		t.addNote("%s", why)
	}
	r.Notes, r.Firmware = t.notes, t.firmware
	if r.HostKeys, err = t.keysThere(); err != nil {
		return nil, err
	}
	r.AuthorizedKeys, r.Port = facts.LoginKeys(), facts.Server.Port()
	return r, nil
}
