package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"groundhog/initrd"
)

// RecordPath is where a patched archive says what was done to it.
const RecordPath = "etc/groundhog/patches.json"

// RecordSchema is the version of the record that [Record.Encode] writes.
const RecordSchema = 1

// Bounds of a record: it comes with an archive that anybody may have made.
const (
	maxRecord        = 1 << 20 // bytes
	maxRecordPatches = 256
	maxRecordPaths   = 1 << 16 // of all patches
	maxRecordText    = 1024    // bytes of a name or a summary
)

// ErrNoRecord says that an archive has no record: it is not patched.
var ErrNoRecord = errors.New("no record of patches")

// Record is the file at [RecordPath].
type Record struct {
	Schema  int     `json:"schema"`
	Tool    string  `json:"tool"`             // "groundhog 0.1.0"
	Build   string  `json:"build"`            // lower-case hexadecimal: names what was built from what
	Release string  `json:"release,omitzero"` // "bookworm"
	Board   string  `json:"board,omitzero"`   // "generic"
	Patches []Patch `json:"patches,omitempty"`
}

// Encode checks the record and writes it as JSON.
func (r *Record) Encode() ([]byte, error) {
	b, err := marshal(r)
	if err == nil {
		err = r.checkRecord()
	}
	if err == nil && len(b) > maxRecord {
		err = fmt.Errorf("more than %d bytes", maxRecord)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the record of patches: %w", err)
	}
	return b, nil
}

// ReadRecord reads the record of an archive. Without one the error is
// [ErrNoRecord].
func ReadRecord(img *initrd.Image) (*Record, error) {
	b, err := img.ReadFile(RecordPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoRecord
	}
	if err != nil {
		return nil, err
	}
	r, err := DecodeRecord(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", RecordPath, err)
	}
	return r, nil
}

// DecodeRecord reads a record from its JSON.
func DecodeRecord(b []byte) (*Record, error) {
	if len(b) > maxRecord {
		return nil, fmt.Errorf("more than %d bytes", maxRecord)
	}
	if err := checkSchema(b, RecordSchema, "record of patches"); err != nil {
		return nil, err
	}
	r := new(Record)
	if err := unmarshal(bytes.NewReader(b), r, maxRecordPaths); err != nil {
		return nil, err
	}
	return r, r.checkRecord()
}

func (r *Record) checkRecord() error {
	switch {
	case r.Schema != RecordSchema:
		return fmt.Errorf("schema %d: not %d", r.Schema, RecordSchema)
	case len(r.Build) > 128 || strings.Trim(r.Build, "0123456789abcdef") != "":
		return errors.New("build: not lower-case hexadecimal")
	case r.Release != "" && !plainWord(r.Release), r.Board != "" && !plainWord(r.Board):
		return errors.New("release or board: not a plain word")
	case len(r.Tool) > maxRecordText:
		return errors.New("tool: too long")
	}
	return checkPatches(r.Patches, maxRecordPatches, maxRecordPaths)
}

func checkPatches(patches []Patch, most, mostPaths int) error {
	if len(patches) > most {
		return fmt.Errorf("more than %d patches", most)
	}
	seen := map[string]bool{}
	for _, p := range patches {
		if !plainWord(p.Name) || len(p.Summary) > maxRecordText || seen[p.Name] {
			return fmt.Errorf("patch %q: not a plain name, there twice, or its summary too long", p.Name)
		}
		seen[p.Name] = true
		if mostPaths -= len(p.Paths); mostPaths < 0 {
			return errors.New("too many paths")
		}
		for _, name := range p.Paths {
			if err := checkPath(name); err != nil {
				return fmt.Errorf("patch %s: %w", p.Name, err)
			}
		}
	}
	return nil
}

// readRecord notes what the archive says of its patches.
func (m *Manifest) readRecord(img *initrd.Image) {
	r, err := ReadRecord(img)
	if errors.Is(err, ErrNoRecord) {
		return
	}
	if err != nil {
		m.noteProblem("%v", err)
		return
	}
	m.Groundhog = &Groundhog{Tool: r.Tool, Build: r.Build, Board: r.Board}
	m.Release = r.Release
	m.Patches = r.Patches
	by := map[string]string{}
	for _, p := range r.Patches {
		for _, name := range p.Paths {
			by[name] = p.Name // of two patches the later one made it what it is
		}
	}
	for i := range m.Entries {
		m.Entries[i].Patch = by[m.Entries[i].Path]
	}
}
