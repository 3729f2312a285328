package manifest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"groundhog/initrd/show"
)

func (m *Manifest) checkEntries() error {
	for i := range m.Entries {
		if i > 0 && m.Entries[i].Path == m.Entries[i-1].Path {
			return fmt.Errorf("%q: there twice", m.Entries[i].Path)
		}
	}
	for _, list := range [][]Entry{m.Entries, m.Shadowed, m.Ignored} {
		for i := range list {
			if err := list[i].checkEntry(m); err != nil {
				return fmt.Errorf("%s: %w", show.Printable(list[i].Path), err)
			}
		}
	}
	return nil
}

// checkEntry says what of an entry cannot be.
func (e *Entry) checkEntry(m *Manifest) error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	if _, err := UnescapePath(e.Target); err != nil || len(e.Target) > maxText {
		return fmt.Errorf("target %q", e.Target)
	}
	switch {
	case e.Segment < 0 || e.Segment > 0 && e.Segment >= len(m.Segments):
		return fmt.Errorf("segment %d: there is none", e.Segment)
	case !isSize(e.Size) || e.Type != File && e.Size != 0:
		return fmt.Errorf("size %d", e.Size)
	case (e.Type == File) != isDigest(e.SHA256) || e.Type != File && e.SHA256 != "":
		return errors.New("a file without a SHA-256, or what is no file with one")
	case e.Stable != "" && (e.Type != File || !isDigest(e.Stable)):
		return errors.New("stable_sha256: not a SHA-256 of a file")
	case e.Type != Symlink && e.Target != "", e.Type != File && e.LinkOf != "":
		return errors.New("a target or a hard link that its type does not have")
	case e.Patch != "" && !plainWord(e.Patch):
		return fmt.Errorf("patch %q: not a plain name", e.Patch)
	case e.LinkOf != "" && checkPath(e.LinkOf) != nil:
		return fmt.Errorf("link_of %q: not a path in an archive", e.LinkOf)
	}
	if err := checkDevice(e); err != nil {
		return err
	}
	if err := e.checkCapabilities(m); err != nil {
		return err
	}
	return e.Origin.checkOrigin()
}

func checkDevice(e *Entry) error {
	switch e.Type {
	case Char, Block:
		major, minor, _ := strings.Cut(e.Device, ":")
		for _, n := range []string{major, minor} {
			if v, err := strconv.ParseUint(n, 10, 32); err != nil || strconv.FormatUint(v, 10) != n {
				return fmt.Errorf("device %q", e.Device)
			}
		}
	case File, Dir, Symlink, Fifo, Socket, Unknown:
		if e.Device != "" {
			return errors.New("a device number that its type does not have")
		}
	default:
		return fmt.Errorf("type %q: there is none", e.Type)
	}
	return nil
}

func (o *Origin) checkOrigin() error {
	if o == nil {
		return nil
	}
	switch o.Kind {
	case FromPackage, FromGenerator, FromGroundhog, FromUnknown:
	default:
		return fmt.Errorf("origin %q: there is none", o.Kind)
	}
	if len(o.Name) > maxText || len(o.Architecture) > maxText || o.Path != "" && checkPath(o.Path) != nil {
		return errors.New("origin: a bad name or path")
	}
	return nil
}
