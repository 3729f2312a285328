package patches

import (
	"fmt"
	"io/fs"
	"slices"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
)

// Patch is one named change, to an archive and to a root tree whose
// update-initramfs is to build such an archive. Each half makes the change and says
// what it did, for the report; "" where it was not asked for. A half that is nil
// has nothing to do.
type Patch struct {
	Name    string
	Doc     string // what it is for, one line
	Archive func(*Archive) (string, error)
	Tree    func(*Tree) (string, error)
}

// All is the patches in the order in which they are applied: later ones find
// what earlier ones brought, and hook copies what the others want copied.
func All() []Patch {
	return []Patch{
		{"dropbear", "puts Debian's dropbear into an archive that has none", (*Archive).graftDropbear, nil},
		{"authorized-keys", "says who may log in", (*Archive).authorizedKeys, (*Tree).authorizedKeys},
		{"host-keys", "gives the device an identity that is known before it boots", (*Archive).ensureHostKeys, (*Tree).ensureHostKeys},
		{"link", "lets a fast link be fast and a dead one be noticed", (*Archive).tuneLink, (*Tree).tuneLink},
		{"interface", "names the network interface and waits for it", (*Archive).networkInterface, (*Tree).networkInterface},
		{"mac", "sets the interface's MAC address before DHCP asks", (*Archive).macAddress, (*Tree).macAddress},
		{"modules", "adds kernel modules with what they need", (*Archive).addAskedModules, (*Tree).listModules},
		{"curl", "adds curl with its libraries and certificates", (*Archive).addCurl, (*Tree).hookCurl},
		{"tools", "adds further programs with their libraries", (*Archive).addTools, (*Tree).hookTools},
		{"writer", "adds the device's half of groundhog flash", (*Archive).addWriter, (*Tree).hookWriter},
		{"wait", "keeps the boot waiting for somebody to come", (*Archive).holdBoot, (*Tree).holdBoot},
		{"hook", "has Debian's dropbear hook copy what is wanted", nil, (*Tree).extendHook},
	}
}

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
