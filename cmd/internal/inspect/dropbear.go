package inspect

import (
	"bytes"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/manifest"
	"groundhog/patches"
	"groundhog/patches/scripts"
)

// Dropbear is the SSH server in an archive. Script is the state of
// scripts/init-premount/dropbear: pristine (as Debian has it, as far as our
// anchors go), patched (by groundhog), unknown, or missing.
type Dropbear struct {
	Version string   `json:"version,omitzero"` // the server's own word: "2022.83"
	Script  string   `json:"script"`
	Config  []string `json:"config"` // the lines of its configuration that are no comments
	Ports   []uint16 `json:"ports"`
	Forced  string   `json:"forced_command,omitzero"` // what every login runs, whatever it asks for
}

// HostKey is a host key, by its public half alone.
type HostKey struct {
	Path        string `json:"path"`
	Type        string `json:"type"`        // "ssh-ed25519"
	Fingerprint string `json:"fingerprint"` // "SHA256:..."
	Identity    string `json:"identity"`    // the line that ssh-keygen -lf prints
}

// UserKey is a key that opens a login.
type UserKey struct {
	Line        int      `json:"line"` // counted from 1
	Type        string   `json:"type"`
	Fingerprint string   `json:"fingerprint"`
	Comment     string   `json:"comment,omitzero"`
	Options     string   `json:"options,omitzero"` // what stands before the key
	Identity    string   `json:"identity"`
	Users       []string `json:"users,omitempty"` // who may log in with it
	Path        string   `json:"path"`            // the authorized_keys that it is in
}

const premountDir = "scripts/init-premount/"

// findDropbear looks at the server and at what it reads. Keys count even where there
// is no server: they are secrets, or doors, all the same.
func (in *Found) findDropbear(img *initrd.Image, facts *debian.Facts) {
	if facts.HasDropbear() {
		in.Dropbear = &Dropbear{Version: facts.Server.Version, Script: in.bootScriptState(img), Config: configOf(img, facts.Server.Config),
			Ports: facts.Server.Ports(), Forced: manifest.EscapePath(facts.Server.ForcedCommand)}
		if why := facts.Hindrance(); in.Patches != nil && why != "" && facts.Server.Doubt == "" && len(facts.Logins) > 0 {
			in.addProblem("nobody could flash: %s", manifest.EscapePath(why))
		}
	}
	for _, p := range facts.Problems {
		in.addProblem("%s", manifest.EscapePath(p))
	}
	for _, w := range facts.Ways(img) {
		if w.Path != debian.Script { // its state is told, and what is not certain about it a problem
			in.addProblem("%s may let somebody in beside dropbear: %s", manifest.EscapePath(w.Path), manifest.EscapePath(w.What))
		}
	}
	for _, k := range facts.HostKeys {
		in.HostKeys = append(in.HostKeys, HostKey{manifest.EscapePath(k.Path), k.Public().Type(), k.Fingerprint(), k.Describe("")})
	}
	if in.Dropbear != nil && len(in.HostKeys) == 0 {
		in.addProblem("dropbear has no host key that can be read")
	}
	in.findLogins(img, facts)
}

// findLogins lists who may log in.
func (in *Found) findLogins(img *initrd.Image, facts *debian.Facts) {
	for _, l := range facts.Logins {
		if l.How != debian.ByKey {
			in.addProblem("%s may log in with %s instead of a key (%s)", manifest.EscapePath(strings.Join(l.Users, ", ")), l.How, l.Path)
			continue
		}
		k := l.Key
		in.Authorized = append(in.Authorized, UserKey{k.Line, k.Type(), k.Fingerprint(),
			manifest.EscapePath(k.Comment), manifest.EscapePath(k.Options), manifest.EscapePath(k.String()), l.Users, manifest.EscapePath(l.Path)})
	}
	if len(facts.Logins) == 0 && in.Dropbear != nil {
		why := "no key in authorized_keys is usable"
		if b, _ := img.ReadFile(facts.RootKeys()); len(b) == 0 {
			why = "authorized_keys is empty or missing"
		}
		in.addProblem("nobody can log in: %s", why)
	}
}

func (in *Found) bootScriptState(img *initrd.Image) string {
	script, err := img.ReadFile(premountDir + "dropbear")
	if err != nil {
		in.addProblem("dropbear never starts: there is no %sdropbear", premountDir)
		return "missing"
	}
	order, _ := img.ReadFile(premountDir + "ORDER")
	if !bytes.Contains(append([]byte("\n"), order...), []byte("\n/"+premountDir+"dropbear ")) {
		in.addProblem("dropbear never starts: %sORDER does not name its script", premountDir)
	}
	state := patches.ScriptState(script)
	switch waits := bytes.Contains(append([]byte("\n"), order...), []byte("\n/"+scripts.Gate+" ")) || bytes.Contains(script, []byte(scripts.OldHoldLine)); {
	case state == patches.Patched && !waits:
		in.addProblem("it does not wait: %sORDER does not name %s", premountDir, scripts.Gate)
	case state == patches.Patched && in.Patches == nil:
		in.addProblem("%sdropbear is patched, but there is no readable record of patches", premountDir)
	case state != patches.Patched && in.Patches != nil:
		in.addProblem("there is a record of patches, but %sdropbear is not patched as it should be", premountDir)
	}
	return string(state)
}

// configOf is the lines of the server's configuration that are no comments.
func configOf(img *initrd.Image, name string) []string {
	lines := []string{}
	b, _ := img.ReadFile(name)
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, manifest.EscapePath(line))
		}
	}
	return lines
}
