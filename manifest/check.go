package manifest

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"groundhog/initrd"
)

// Bounds of what a manifest can say; they are far above what archives have.
const (
	maxPatches = 1024
	maxText    = 4 * maxPath // bytes of any other text
	maxSize    = 1 << 40     // bytes of anything: sums of all sizes fit 63 bits
)

// checkManifest says what is wrong with a manifest whose lists are sorted. It is the
// same for what we read and for what we write.
func (m *Manifest) checkManifest() error {
	switch {
	case m.Schema < 1 || m.Schema > Schema:
		return fmt.Errorf("schema %d: not 1 to %d", m.Schema, Schema)
	case m.Source != Initramfs && m.Source != Root:
		return fmt.Errorf("source %q: neither %q nor %q", m.Source, Initramfs, Root)
	case m.Source == Initramfs && (m.Archive == nil || len(m.Segments) == 0):
		return errors.New("an archive without its SHA-256, its size or its segments")
	case len(m.Entries) == 0 && m.hasEntries():
		return errors.New("no entries, and what it is of has some: it is not whole")
	case m.Architecture != "" && !plainWord(m.Architecture), m.Release != "" && !plainWord(m.Release):
		return errors.New("architecture or release: not a plain word")
	case m.System != nil && (!plainWord(m.System.ID) || m.System.Version != "" && !plainWord(m.System.Version)):
		return errors.New("system: not plain words")
	}
	if _, err := time.Parse(time.RFC3339, m.Created); m.Created != "" && err != nil {
		return fmt.Errorf("created %q: not a time", m.Created)
	}
	if err := m.checkFiles(); err != nil {
		return err
	}
	if err := m.checkSegments(); err != nil {
		return err
	}
	if err := m.checkTexts(); err != nil {
		return err
	}
	if err := checkPatches(m.Patches, maxPatches, DefaultLimits.Items); err != nil {
		return err
	}
	return m.checkEntries()
}

// hasEntries reports whether there is something in what m is of: a tree has its root, and an archive what its segments have.
func (m *Manifest) hasEntries() bool {
	left := len(m.Ignored)
	for _, s := range m.Segments {
		left -= s.Entries
	}
	return m.Source == Root || left < 0
}

func (m *Manifest) checkFiles() error {
	if a := m.Archive; a != nil && (!isDigest(a.SHA256) || !isSize(a.Size) || !isSize(a.Unpacked) || !isBase(a.Name, true)) {
		return errors.New("archive: a bad SHA-256 or size, or not a base name")
	}
	for _, in := range m.Inputs {
		if !isDigest(in.SHA256) || !isSize(in.Size) || !isBase(in.Name, false) || len(in.Role) > 64 {
			return fmt.Errorf("input %q: a bad SHA-256 or size, or not a base name", in.Name)
		}
	}
	return nil
}

func (m *Manifest) checkSegments() error {
	end := int64(0)
	for i, s := range m.Segments {
		switch {
		case s.Offset < end || s.Size < 1 || s.Padding < 0 || s.Unpacked < 0 || s.Entries < 0:
			return fmt.Errorf("segment %d: an offset or a size that cannot be", i)
		case s.SHA256 != "" && !isDigest(s.SHA256):
			return fmt.Errorf("segment %d: not a SHA-256", i)
		case s.Compression != string(initrd.None) && !plainWord(s.Compression):
			return fmt.Errorf("segment %d: compression %q", i, s.Compression)
		case max(s.Offset, s.Size, s.Padding, s.Unpacked) > maxSize:
			return fmt.Errorf("segment %d: an offset or a size that cannot be", i)
		}
		end = s.Offset + s.Size + s.Padding
	}
	if m.Archive != nil && len(m.Segments) > 0 && end != m.Archive.Size {
		return fmt.Errorf("the segments end at %d, the archive at %d", end, m.Archive.Size)
	}
	return nil
}

// checkTexts bounds what has no form of its own.
func (m *Manifest) checkTexts() error {
	texts := append([]string{m.Tool}, m.Problems...)
	texts = append(texts, m.Kernels...)
	if g := m.Groundhog; g != nil {
		texts = append(texts, g.Tool, g.Build, g.Board)
	}
	for _, k := range append(m.HostKeys[:len(m.HostKeys):len(m.HostKeys)], m.AuthorizedKeys...) {
		if err := checkPath(k.Path); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		if !strings.HasPrefix(k.Fingerprint, "SHA256:") || k.Bits < 0 {
			return fmt.Errorf("key %q: not a fingerprint", k.Fingerprint)
		}
		texts = append(texts, k.Type, k.Fingerprint, k.Comment)
	}
	seen := map[[2]string]bool{}
	names := map[string]bool{}
	for _, p := range m.Packages {
		names[p.Name] = true
	}
	for _, p := range m.Packages {
		for i, d := range p.Depends {
			if !names[d] || i > 0 && p.Depends[i-1] >= d {
				return fmt.Errorf("package %q: it needs %q, which is not listed, or not in order", p.Name, d)
			}
		}
		for i, b := range p.BuiltUsing {
			if b.Source == "" || b.Version == "" || i > 0 && p.BuiltUsing[i-1].Compare(b) >= 0 {
				return fmt.Errorf("package %q: what it was built using has no name or no version, or is not in order", p.Name)
			}
			texts = append(texts, b.Source, b.Version)
		}
		id := [2]string{p.Name, p.Architecture}
		if p.Name == "" || p.Files < 0 || !isSize(p.Bytes) || seen[id] {
			return fmt.Errorf("package %q: no name, a negative number, or there twice", p.Name)
		}
		seen[id] = true
		texts = append(texts, p.Name, p.Version, p.Architecture, p.Source, p.SourceVersion)
	}
	for _, t := range texts {
		if len(t) > maxText {
			return fmt.Errorf("a text of %d bytes", len(t))
		}
	}
	return nil
}

// hexDigits is which bytes are lower-case hexadecimal digits.
var hexDigits = func() (is [256]bool) {
	for _, c := range "0123456789abcdef" {
		is[c] = true
	}
	return is
}()

func isDigest(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if !hexDigits[s[i]] {
			return false
		}
	}
	return true
}

func isSize(n int64) bool { return n >= 0 && n <= maxSize }

// isBase accepts a file's name without its directories.
func isBase(s string, empty bool) bool {
	if s == "" {
		return empty
	}
	return len(s) <= 1024 && path.Base(s) == s && s != ".." && s != "." && s != "/"
}
