// Package inspect finds out what an archive is and what is in it.
package inspect

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dropbear"
	"groundhog/manifest"
	"groundhog/patches/scripts"
)

// Found is what `groundhog inspect` finds, and its JSON. Sizes and offsets
// are in bytes. Texts from the archive are escaped as a manifest's paths are
// ([manifest.EscapePath]), those in patches, a record of our own, are as it has
// them.
type Found struct {
	Schema       int          `json:"schema"`
	Name         string       `json:"name"` // of the file, without its directory
	SHA256       string       `json:"sha256"`
	Size         int64        `json:"size"`
	Unpacked     int64        `json:"unpacked"` // all segments
	Segments     []Segment    `json:"segments"`
	Builder      string       `json:"builder"`               // initramfs-tools, dracut or unknown
	Kernel       string       `json:"kernel,omitzero"`       // the release that it has modules for
	Architecture string       `json:"architecture,omitzero"` // Debian's name
	Release      string       `json:"release,omitzero"`      // Debian's code name
	System       string       `json:"system,omitzero"`       // derived from that release of Debian, by its kernel: Raspberry Pi OS
	Dropbear     *Dropbear    `json:"dropbear"`              // null: none in it
	HostKeys     []HostKey    `json:"host_keys"`
	Authorized   []UserKey    `json:"authorized_keys"`
	Patches      *patchRecord `json:"patches"`  // null: no record of any, or one that cannot be read
	Settings     []Setting    `json:"settings"` // of scripts/groundhog/conf
	Ignored      []string     `json:"ignored"`  // entries that the kernel does not unpack
	Problems     []string     `json:"problems"` // what is broken or does not fit, a line each

	more int // problems beyond maxProblems
}

type patchRecord = manifest.Record

// Segment is one segment of the file. Content is what it is for, by what is in
// it: microcode, modules, main (it has /init), appended (behind main), empty or
// other.
type Segment struct {
	Offset      int64              `json:"offset"`
	Size        int64              `json:"size"`
	Padding     int64              `json:"padding"` // zeros behind it
	Compression initrd.Compression `json:"compression"`
	Unpacked    int64              `json:"unpacked"`
	Entries     int                `json:"entries"`
	Content     string             `json:"content"`
}

// Setting is one line NAME=value; of several for a name the last counts.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// maxProblems bounds what a hostile archive can make us say.
const maxProblems = 100

func (in *Found) addProblem(format string, args ...any) {
	if len(in.Problems) == maxProblems {
		in.more++
		return
	}
	in.Problems = append(in.Problems, strings.ToValidUTF8(fmt.Sprintf(format, args...), "?"))
}

// Find looks at everything in an archive whose file is described by input. What it cannot make sense of becomes a problem.
func Find(img *initrd.Image, input manifest.Input) *Found {
	facts := debian.Read(img)
	in := &Found{Name: input.Name, SHA256: input.SHA256, Size: input.Size,
		Builder: string(facts.Builder), Kernel: facts.Kernel(), Architecture: facts.Architecture, Release: facts.Release, System: debian.DerivedBy(facts.Kernel()),
		HostKeys: []HostKey{}, Authorized: []UserKey{}, Settings: []Setting{}, Ignored: []string{}, Problems: []string{}}
	in.listSegments(img)
	if why := facts.WithoutModules(); why != "" && facts.Builder == debian.InitramfsTools {
		in.addProblem("%s", why)
	}
	in.findRecord(img)
	in.findDropbear(img, facts)
	in.readSettings(img)
	for _, e := range img.Ignored() {
		in.Ignored = append(in.Ignored, manifest.EscapePath(e.Name))
	}
	if in.more > 0 {
		in.Problems = append(in.Problems, fmt.Sprintf("and %d more", in.more))
	}
	return in
}

func (in *Found) listSegments(img *initrd.Image) {
	main := false
	for _, s := range img.Segments {
		what := contentOf(s)
		switch {
		case what == "main" && main, what == "modules" && main, what == "other" && main:
			what = "appended"
		case what == "main":
			main = true
		}
		in.Unpacked += s.Unpacked
		in.Segments = append(in.Segments, Segment{s.Offset, s.Size, s.Padding, s.Compression, s.Unpacked, len(s.Entries), what})
	}
	if !main {
		in.addProblem("no segment has an init: the kernel would not start anything from this archive")
	}
}

// contentOf says what a segment holds, its directories aside: trixie's modules
// come with every directory on the way to them.
func contentOf(s *initrd.Segment) string {
	files, microcode, modules := 0, 0, 0
	for _, e := range s.Entries {
		name := path.Clean(e.Name)
		switch {
		case name == "init":
			return "main"
		case e.IsDir() || e.IsTrailer():
			continue
		case strings.HasPrefix(name, "kernel/x86/microcode/"):
			microcode++
		case strings.HasPrefix(name, "lib/modules/"), strings.HasPrefix(name, "usr/lib/modules/"):
			modules++
		}
		files++
	}
	switch files {
	case 0:
		return "empty"
	case microcode:
		return "microcode"
	case modules:
		return "modules"
	}
	return "other"
}

// findRecord reads what the archive says of its patches; its word on the release
// counts before what the server's version suggests.
func (in *Found) findRecord(img *initrd.Image) {
	r, err := manifest.ReadRecord(img)
	switch {
	case errors.Is(err, manifest.ErrNoRecord):
		return
	case err != nil:
		in.addProblem("the record of patches cannot be read: %v", err)
		return
	}
	in.Patches = r
	if _, err := dropbear.ForRelease(r.Release); err == nil {
		in.Release = r.Release
	}
}

// readSettings reads what groundhog's scripts in the archive are told.
func (in *Found) readSettings(img *initrd.Image) {
	b, err := img.ReadFile(scripts.Conf)
	if err != nil {
		return
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimRight(line, "\n")
		if name, value, ok := strings.Cut(line, "="); ok {
			in.Settings = append(in.Settings, Setting{manifest.EscapePath(name), manifest.EscapePath(value)})
		} else if line != "" && !strings.HasPrefix(line, "#") {
			in.addProblem("%s: line %d: not NAME=value", scripts.Conf, n)
		}
	}
}
