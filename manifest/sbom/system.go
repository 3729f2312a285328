package sbom

import (
	"strings"

	"groundhog/manifest"
)

// operatingSystem is the operating system that packages are of, as os-release(5) names it: ID and VERSION_ID. Scanners look
// vulnerabilities up by these, not by code names.
type operatingSystem struct{ id, version, supplier string }

// operatingSystems are those of the code names that os-release's VERSION_CODENAME has: Debian's by its distro-info-data, Ubuntu's LTS
// and the releases between them that are supported.
var operatingSystems = map[string]operatingSystem{
	"buster":   {"debian", "10", "Debian"},
	"bullseye": {"debian", "11", "Debian"},
	"bookworm": {"debian", "12", "Debian"},
	"trixie":   {"debian", "13", "Debian"},
	"forky":    {"debian", "14", "Debian"},
	"focal":    {"ubuntu", "20.04", "Ubuntu"},
	"jammy":    {"ubuntu", "22.04", "Ubuntu"},
	"noble":    {"ubuntu", "24.04", "Ubuntu"},
	"plucky":   {"ubuntu", "25.04", "Ubuntu"},
	"questing": {"ubuntu", "25.10", "Ubuntu"},
}

// systemOf is the system of a manifest; what its root tree says, or else what its release tells; ok is false where neither does.
func systemOf(m *manifest.Manifest) (operatingSystem, bool) {
	if m.System == nil || m.System.Version == "" { // an older manifest, or Debian's testing
		s, ok := operatingSystems[m.Release]
		return s, ok
	}
	s := operatingSystem{m.System.ID, m.System.Version, m.System.ID}
	for _, known := range operatingSystems {
		if known.id == s.id {
			s.supplier = known.supplier
		}
	}
	return s, true
}

// cpeName names the system as the National Vulnerability Database does (CPE 2.3), "" of one that it has under no name that we know.
func (s operatingSystem) cpeName() string {
	product := map[string]string{"debian": "debian:debian_linux", "ubuntu": "canonical:ubuntu_linux"}[s.id]
	if product == "" || s.version == "" || strings.Trim(s.version, "0123456789.") != "" {
		return ""
	}
	return "cpe:2.3:o:" + product + ":" + s.version + ":*:*:*:*:*:*:*"
}
