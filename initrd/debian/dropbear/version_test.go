package dropbear

import (
	"path"
	"slices"
	"strings"
	"testing"
)

func TestReleases(t *testing.T) {
	if got := strings.Join(Releases(), " "); got != "buster bullseye bookworm trixie" {
		t.Errorf("releases: %s", got)
	}
	for _, name := range []string{"", "sid", "Bookworm", "stretch", "forky\n"} {
		_, err := ForRelease(name)
		if err == nil || !strings.HasSuffix(err.Error(), "(supported: buster, bullseye, bookworm, trixie)") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What belongs together is together in every version.
func TestVersionsAreConsistent(t *testing.T) {
	for _, name := range Releases() {
		v := release(t, name)
		if v.Release != name || v.String() != "dropbear "+v.Dropbear+" ("+name+")" {
			t.Errorf("%s: %v", name, v)
		}
		if path.Base(v.ArchiveConfig) != v.ConfigName || path.Dir(v.ArchiveConfig) != "etc/dropbear" ||
			path.Dir(v.RootConfig()) != v.RootDir || path.Dir(v.RootAuthorizedKeys()) != v.RootDir {
			t.Errorf("%s: paths do not fit: %+v", name, v)
		}
		if slices.Contains(v.HostKeyTypes(), "ed25519") != v.Ed25519 {
			t.Errorf("%s: host key types %v", name, v.HostKeyTypes())
		}
		if v.NeedsNSSDNS == v.SbinInPath || v.SbinInPath != (v.MaxWindow == 10<<20) {
			t.Errorf("%s: old and new at once: %+v", name, v)
		}
	}
}
