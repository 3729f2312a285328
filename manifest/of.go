package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"

	"groundhog/initrd"
	"groundhog/initrd/debian"
)

// Of describes an archive as it was read: everything that its own bytes tell.
// The caller adds Tool, Inputs, Archive.Name and what else only it knows. The
// release is known only of a patched archive.
//
// An archive that was edited has to be written first: what its new bytes are is
// not known before, and there is no half of a manifest.
//
// What cannot be read inside the archive (a host key, authorized_keys, the
// record of its patches) becomes a line in Problems, not an error.
func Of(img *initrd.Image) (*Manifest, error) {
	if slices.ContainsFunc(img.Segments, (*initrd.Segment).Edited) {
		return nil, errors.New("an edited archive has to be written before it is described")
	}
	m := &Manifest{Schema: schemaWithout, Source: Initramfs}
	var work hasher
	m.listSegments(img, &work)
	m.listTree(img, &work)
	m.listOutsideTree(img, &work)
	if err := work.hashAll(); err != nil {
		return nil, fmt.Errorf("hashing: %w", err)
	}
	m.sortLists()
	facts := debian.Read(img)
	m.identifyMachine(facts)
	for _, w := range facts.Ways(img) {
		m.AuthorizedKeys = append(m.AuthorizedKeys, keylessLogin(w.Path, "way", w.What, w.Sum[:]))
	}
	if passwd, err := img.ReadFile("etc/passwd"); err == nil {
		m.hashStablePasswd(facts, passwd)
	}
	m.readRecord(img)
	m.sortLists()
	return m, nil
}

// listSegments lists the segments.
func (m *Manifest) listSegments(img *initrd.Image, work *hasher) {
	var unpacked int64
	m.Segments = make([]Segment, len(img.Segments))
	for i, s := range img.Segments {
		seg := &m.Segments[i]
		seg.Compression, seg.Entries = string(s.Compression), len(s.Entries)
		seg.Offset, seg.Size, seg.Padding, seg.Unpacked = s.Offset, s.Size, s.Padding, s.Unpacked
		work.hashSegment(img, s, seg)
		unpacked += s.Unpacked
	}
	m.Archive = &Archive{Size: img.Size(), Unpacked: unpacked}
	work.hashArchive(img, m)
}

// listTree lists what the kernel ends up with.
func (m *Manifest) listTree(img *initrd.Image, work *hasher) {
	at := segmentIndexes(img)
	first := map[any]int{} // the entry that has a hard-linked file's first name
	for name, e := range img.Tree() {
		m.Entries = append(m.Entries, entryOf(name, e, at))
		if id := e.LinkID(); id != nil {
			if i, ok := first[id]; ok {
				m.Entries[len(m.Entries)-1].LinkOf = m.Entries[i].Path
				continue
			}
			first[id] = len(m.Entries) - 1
		}
	}
	byPath := make(map[string]*Entry, len(m.Entries))
	for i := range m.Entries {
		byPath[m.Entries[i].Path] = &m.Entries[i]
	}
	i := 0
	for _, e := range img.Tree() {
		work.hashEntry(img, e, &m.Entries[i], byPath)
		i++
	}
}

// listOutsideTree lists the entries that are in a segment but not in the tree. A
// directory that a later segment repeats as it is hides nothing.
func (m *Manifest) listOutsideTree(img *initrd.Image, work *hasher) {
	at := segmentIndexes(img)
	inTree := map[*initrd.Entry]bool{}
	for _, e := range img.Tree() {
		inTree[e] = true
	}
	ignored := map[*initrd.Entry]bool{}
	for _, e := range img.Ignored() {
		ignored[e] = true
	}
	var hidden []*initrd.Entry
	for _, s := range img.Segments {
		for _, e := range s.Entries {
			if inTree[e] || e.IsTrailer() || repeatsDir(img, e) {
				continue
			}
			hidden = append(hidden, e)
		}
	}
	if len(hidden) == 0 {
		return
	}
	// The lists must not grow once the hasher points into them.
	m.Shadowed = make([]Entry, 0, len(hidden))
	m.Ignored = make([]Entry, 0, len(hidden))
	for _, e := range hidden {
		list := &m.Shadowed
		if ignored[e] {
			list = &m.Ignored
		}
		*list = append(*list, entryOf(path.Clean(e.Name), e, at))
		work.hashEntry(img, e, &(*list)[len(*list)-1], nil)
	}
}

func repeatsDir(img *initrd.Image, e *initrd.Entry) bool {
	now := img.Lookup(e.Name)
	return e.IsDir() && now != nil && now.Mode == e.Mode && now.UID == e.UID && now.GID == e.GID
}

func segmentIndexes(img *initrd.Image) map[*initrd.Segment]int {
	at := map[*initrd.Segment]int{}
	for i, s := range img.Segments {
		at[s] = i
	}
	return at
}

var entryTypes = map[uint32]Type{initrd.TypeFile: File, initrd.TypeDir: Dir, initrd.TypeLink: Symlink,
	initrd.TypeChar: Char, initrd.TypeBlock: Block, initrd.TypePipe: Fifo, initrd.TypeSocket: Socket}

// TypeOf is what an entry of an archive is.
func TypeOf(e *initrd.Entry) Type {
	if t, ok := entryTypes[e.Type()]; ok {
		return t
	}
	return Unknown
}

// entryOf is an entry without what the hasher adds: a file's size and SHA-256.
func entryOf(name string, e *initrd.Entry, at map[*initrd.Segment]int) Entry {
	out := Entry{Path: EscapePath(name), Type: TypeOf(e), Mode: Mode(e.Perm() & 0o7777),
		UID: e.UID, GID: e.GID, Mtime: int64(e.Mtime), Segment: at[e.Segment()]}
	switch out.Type {
	case Symlink:
		out.Target = EscapePath(string(e.Data))
	case Char, Block:
		out.Device = fmt.Sprintf("%d:%d", e.Rdev.Major, e.Rdev.Minor)
	}
	return out
}

// sortLists puts every list in the order in which it is written.
func (m *Manifest) sortLists() {
	byPath := func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Segment, b.Segment))
	}
	byKey := func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Comment, b.Comment))
	}
	for _, list := range [][]Entry{m.Entries, m.Shadowed, m.Ignored} {
		if !slices.IsSortedFunc(list, byPath) {
			slices.SortStableFunc(list, byPath)
		}
	}
	slices.SortStableFunc(m.HostKeys, byKey)
	slices.SortStableFunc(m.AuthorizedKeys, byKey)
	slices.SortStableFunc(m.Packages, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Architecture, b.Architecture))
	})
	slices.Sort(m.Kernels)
	for i := range m.Patches {
		slices.Sort(m.Patches[i].Paths)
	}
	slices.SortStableFunc(m.Inputs, func(a, b Input) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Name, b.Name), cmp.Compare(a.SHA256, b.SHA256))
	})
}
