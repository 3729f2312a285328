package undo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// KeepDir is where a root tree keeps what `groundhog hooks` needs to be undone:
// state.json, and the originals below original/, under their own paths and with
// their own modes.
const KeepDir = "var/lib/groundhog/hooks"

// keeper is that directory in a tree, links followed.
type keeper struct {
	root fs.FS
	dir  string
}

func openKeeper(root fs.FS) (*keeper, error) {
	dir, err := placeInTree(root, KeepDir)
	return &keeper{root, dir}, err
}

func (k *keeper) stateFile() string               { return path.Join(k.dir, "state.json") }
func (k *keeper) originalFile(name string) string { return path.Join(k.dir, "original", name) }

// stateSchema is the version of the state that is written.
const stateSchema = 1

// undoState is state.json. Hashes are SHA-256 in lower-case hexadecimal, "" for
// a file that is not there.
type undoState struct {
	Schema      int          `json:"schema"`
	Build       string       `json:"build"`
	Files       []stateEntry `json:"files"`       // sorted by path
	Directories []string     `json:"directories"` // that groundhog made, sorted
}

type stateEntry struct {
	Path   string `json:"path"` // below the root, free of symbolic links
	Before string `json:"before"`
	After  string `json:"after"`
	// Replaced is what the run before the last one wrote. The state is written
	// before the files, so after a power cut the file may still be that one.
	Replaced string `json:"replaced,omitzero"`
}

// wroteHash reports whether a file with that hash is groundhog's work.
func (e *stateEntry) wroteHash(hash string) bool {
	return hash != "" && (hash == e.After || hash == e.Replaced)
}

// replacedBy is what the next entry has to say of the file as it is now.
func (e *stateEntry) replacedBy(now string) string {
	if e == nil || !e.wroteHash(now) {
		return ""
	}
	return now
}

// sumIfThere is the hash of a file that is there, "" of one that is not.
func sumIfThere(b []byte) string {
	if b == nil {
		return ""
	}
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func isSum(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// entryFor is the one for a path; nil, also of no state.
func (s *undoState) entryFor(at string) *stateEntry {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.Files, func(e stateEntry) bool { return e.Path == at })
	if i < 0 {
		return nil
	}
	return &s.Files[i]
}

// originalOf is the original of an entry, with its mode; of a file that was not
// there, no content.
func (k *keeper) originalOf(e *stateEntry) (*File, error) {
	if e.Before == "" {
		return &File{}, nil
	}
	at := k.originalFile(e.Path)
	f, err := readTreeFile(k.root, at)
	if err == nil && sumIfThere(f.Current) != e.Before {
		err = fmt.Errorf("%s: missing, or not the original that was kept there", at)
	}
	return f, err
}

// readState is the state that an earlier run left, nil where none did.
func (k *keeper) readState() (*undoState, error) {
	f, err := readTreeFile(k.root, k.stateFile())
	if err != nil || f.Current == nil {
		return nil, err
	}
	s := new(undoState)
	dec := json.NewDecoder(bytes.NewReader(f.Current))
	dec.DisallowUnknownFields()
	if err = dec.Decode(s); err == nil {
		err = s.checkState()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.stateFile(), err)
	}
	return s, nil
}

// checkState refuses a state that nothing of ours has written.
func (s *undoState) checkState() error {
	if s.Schema != stateSchema {
		return fmt.Errorf("schema %d, not %d", s.Schema, stateSchema)
	}
	for i, e := range s.Files {
		if i > 0 && e.Path <= s.Files[i-1].Path {
			return errors.New("files out of order")
		}
		for _, hash := range []string{e.Before, e.After, e.Replaced} {
			if hash != "" && !isSum(hash) {
				return fmt.Errorf("%q is no SHA-256", hash)
			}
		}
	}
	for i, dir := range s.Directories {
		if i > 0 && dir <= s.Directories[i-1] {
			return errors.New("directories out of order")
		}
	}
	for _, name := range slices.Concat(s.Directories, s.entryPaths()) {
		if !fs.ValidPath(name) || name == "." {
			return fmt.Errorf("%q is no path in a root tree", name)
		}
	}
	return nil
}

// madeFor is those of the directories that can be ours: in which one of the files
// lies, or its original, or the state itself. The state is a file of the tree like
// others; nothing that it merely names is removed.
func (s *undoState) madeFor(k *keeper) []string {
	names := append(s.entryPaths(), k.stateFile())
	for _, name := range s.entryPaths() {
		names = append(names, k.originalFile(name))
	}
	ours := map[string]bool{}
	for _, name := range names {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			ours[dir] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(s.Directories), func(dir string) bool { return !ours[dir] })
}

func (s *undoState) entryPaths() (names []string) {
	for _, e := range s.Files {
		names = append(names, e.Path)
	}
	return names
}

func (s *undoState) encodeJSON() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}
