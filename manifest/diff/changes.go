package diff

import "groundhog/manifest"

// Changes is what differs between two manifests. Its JSON form is what
// `groundhog diff --format json` prints; sizes are in bytes, growth is new less
// old.
type Changes struct {
	Schema   int             `json:"schema"` // 1
	Same     bool            `json:"same"`   // nothing differs, what was folded aside
	Old      Side            `json:"old"`
	New      Side            `json:"new"`
	Total    Total           `json:"total"`
	Facts    []Fact          `json:"facts"`
	Kernels  []KernelChange  `json:"kernels"` // those that became another one
	Keys     []KeyChange     `json:"keys"`
	Patches  []PatchChange   `json:"patches"`
	Own      []OwnChange     `json:"own"` // by patch, largest growth first
	Segments []SegmentChange `json:"segments"`
	Modules  []ModuleChange  `json:"modules"`
	Packages []Group         `json:"packages"` // largest growth first
	Folded   []Fold          `json:"folded"`
	Tripped  []Trip          `json:"tripped,omitempty"` // by [Changes.Gate]
}

// Side is one of the two that were compared.
type Side struct {
	Name    string `json:"name,omitzero"`
	SHA256  string `json:"sha256,omitzero"`
	Size    int64  `json:"size"`    // of the file; 0 of a root tree
	Content int64  `json:"content"` // of all files, a hard-linked one once
	Own     int64  `json:"own"`     // of those that groundhog put or changed
	Entries int    `json:"entries"`
	// Origins says whether the files were attributed to packages.
	Origins bool `json:"origins"`
	// Capabilities says whether a file without capabilities has none: an older groundhog did not read them.
	Capabilities bool `json:"capabilities"`
}

// Total counts the changes of entries, what was folded aside.
type Total struct {
	Added   int   `json:"added"`
	Removed int   `json:"removed"`
	Changed int   `json:"changed"`
	Moved   int   `json:"moved"`
	Growth  int64 `json:"growth"`      // of the content of all files
	Own     int64 `json:"own_growth"`  // of that, what groundhog put or changed
	File    int64 `json:"file_growth"` // of the file
}

// Fact is a single value that differs: architecture, release, kernels,
// dropbear, shadowed, ignored, and of a patched archive tool, build and board.
type Fact struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// KeyChange is a key that came or went. Role is "host" or "authorized".
type KeyChange struct {
	Kind Kind   `json:"kind"` // added or removed
	Role string `json:"role"`
	manifest.Key
}

// PatchChange is a patch that came, went, or touches other paths.
type PatchChange struct {
	Kind Kind   `json:"kind"` // added, removed or changed
	Name string `json:"name"`
	Old  string `json:"old,omitzero"` // its summary
	New  string `json:"new,omitzero"`
}

// SegmentChange is a segment that came, went, or is compressed another way.
type SegmentChange struct {
	Kind  Kind              `json:"kind"`
	Index int               `json:"index"`
	Old   *manifest.Segment `json:"old,omitzero"`
	New   *manifest.Segment `json:"new,omitzero"`
}

// ModuleChange is a kernel module that came or went, whatever the kernel's
// version. Name is as lsmod(8) has it.
type ModuleChange struct {
	Kind Kind   `json:"kind"` // added or removed
	Name string `json:"name"`
}

// Group is what changed of one package, or of what has none: then Name is
// empty and Origin says what it is.
type Group struct {
	Origin       string   `json:"origin"` // "package", "generated", "groundhog", "unknown"; "" without attribution
	Name         string   `json:"name,omitzero"`
	Architecture string   `json:"architecture,omitzero"`
	Was          string   `json:"was,omitzero"` // the old package, where its name carries a version: libssl1.1 of libssl3
	Old          string   `json:"old,omitzero"` // version; empty where the package was not there
	New          string   `json:"new,omitzero"`
	Growth       int64    `json:"growth"`
	Files        int      `json:"files"` // entries that changed, what was folded aside
	Entries      []Change `json:"entries"`
}

// Change is an entry that differs.
type Change struct {
	Kind   Kind            `json:"kind"`
	Path   string          `json:"path"`            // the new one, of a removed entry the old one
	From   string          `json:"from,omitzero"`   // of a moved one: the old path
	Fields []string        `json:"fields"`          // of a changed or moved one: what differs
	Noise  []string        `json:"noise,omitempty"` // what differs and means nothing
	Growth int64           `json:"growth"`
	Old    *manifest.Entry `json:"old,omitzero"`
	New    *manifest.Entry `json:"new,omitzero"`
	Text   string          `json:"text,omitzero"` // a unified diff: [Changes.AddText]
}

// Kind is what became of something.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
	Moved   Kind = "moved" // the same content under a new path
)

// What may differ in an entry ([Change.Fields]).
const (
	FieldContent = "content"
	FieldMode    = "mode"
	FieldOwner   = "owner"
	FieldType    = "type"
	FieldTarget  = "target"
	FieldDevice  = "device"

	FieldCapabilities = "capabilities" // of a file
)

// What differs from build to build and means nothing ([Change.Noise]).
const (
	NoiseTime    = "time"
	NoiseLinks   = "hard links" // the names that share an inode
	NoiseSegment = "segment"    // in which segment of the archive it lies
	NoiseHome    = "random home"
	NoiseCache   = "ld.so.cache"
	NoiseKernel  = "kernel release" // in the path, of a kernel that became another one
)

// Fold counts entries in which nothing but noise of one kind differs.
type Fold struct {
	Noise string `json:"noise"`
	Count int    `json:"count"`
}

// Folded reports whether nothing but noise differs.
func (c *Change) Folded() bool {
	return len(c.Fields) == 0 && len(c.Noise) > 0
}
