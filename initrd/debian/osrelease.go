package debian

import (
	"bytes"
	"errors"
)

// OSRelease is what os-release(5) says of a root tree: "debian", "bookworm", "12".
// Debian's unstable has no version, its testing only a code name.
type OSRelease struct{ ID, Codename, Version string }

// ReadOSRelease reads the file as a shell that sources it does, but that DOS line ends are line ends, as they are to systemd;
// what it does not say is empty, but for ID, which then is "linux".
func ReadOSRelease(b []byte) (OSRelease, error) {
	s := newShell()
	s.sourceText("os-release", bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")))
	settings := s.sourcedSettings()
	if settings.Doubt != "" {
		return OSRelease{}, errors.New(settings.Doubt)
	}
	id, known := settings.Get("ID")
	if id == "" {
		id = "linux"
	}
	codename, also := settings.Get("VERSION_CODENAME")
	version, all := settings.Get("VERSION_ID")
	if !known || !also || !all {
		return OSRelease{}, errors.New("only a running shell could tell the release")
	}
	return OSRelease{id, codename, version}, nil
}
