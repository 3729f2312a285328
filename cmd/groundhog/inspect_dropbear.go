package main

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
	"groundhog/manifest"
	"groundhog/patches"
)

// dropbearOf is the SSH server in an archive. Script is the state of
// scripts/init-premount/dropbear: pristine (as Debian has it, as far as our
// anchors go), patched (by groundhog), unknown, or missing.
type dropbearOf struct {
	Version string   `json:"version,omitzero"` // the server's own word: "2022.83"
	Script  string   `json:"script"`
	Config  []string `json:"config"` // the lines of its configuration that are no comments
}

// hostKeyOf is a host key, by its public half alone.
type hostKeyOf struct {
	Path        string `json:"path"`
	Type        string `json:"type"`        // "ssh-ed25519"
	Fingerprint string `json:"fingerprint"` // "SHA256:..."
	Identity    string `json:"identity"`    // the line that ssh-keygen -lf prints
}

// userKeyOf is a key in root's authorized_keys.
type userKeyOf struct {
	Line        int    `json:"line"` // counted from 1
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Comment     string `json:"comment,omitzero"`
	Options     string `json:"options,omitzero"` // what stands before the key
	Identity    string `json:"identity"`
}

const premountDir = "scripts/init-premount/"

// dropbear looks at the server and at what it reads. Keys count even where there
// is no server: they are secrets, or doors, all the same.
func (in *inspection) dropbear(img *initrd.Image) {
	server, err := img.ReadFile("sbin/dropbear")
	if err != nil {
		server, err = img.ReadFile("usr/sbin/dropbear")
	}
	if err == nil {
		in.Dropbear = &dropbearOf{Version: versionOf(server), Script: in.script(img), Config: configOf(img)}
	}
	in.hostKeys(img)
	in.authorizedKeys(img)
}

var versionString = regexp.MustCompile(`dropbear_(20[0-9]{2}\.[0-9]{1,3})`)

// versionOf finds the version that the server tells each client (RFC 4253,
// section 4.2).
func versionOf(server []byte) string {
	if m := versionString.FindSubmatch(server); m != nil {
		return string(m[1])
	}
	return ""
}

func (in *inspection) script(img *initrd.Image) string {
	script, err := img.ReadFile(premountDir + "dropbear")
	if err != nil {
		in.problem("dropbear never starts: there is no %sdropbear", premountDir)
		return "missing"
	}
	order, _ := img.ReadFile(premountDir + "ORDER")
	if !bytes.Contains(append([]byte("\n"), order...), []byte("\n/"+premountDir+"dropbear ")) {
		in.problem("dropbear never starts: %sORDER does not name its script", premountDir)
	}
	state := patches.ScriptState(script)
	switch {
	case state == patches.Patched && in.Patches == nil:
		in.problem("%sdropbear is patched, but there is no readable record of patches", premountDir)
	case state != patches.Patched && in.Patches != nil:
		in.problem("there is a record of patches, but %sdropbear is not patched as it should be", premountDir)
	}
	return string(state)
}

// configOf is what the server's configuration says, under either of its names.
func configOf(img *initrd.Image) []string {
	lines := []string{}
	for _, name := range []string{"etc/dropbear/config", "etc/dropbear/dropbear.conf"} {
		b, _ := img.ReadFile(name)
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, manifest.EscapePath(line))
			}
		}
	}
	return lines
}

func (in *inspection) hostKeys(img *initrd.Image) {
	for _, kind := range []string{"ed25519", "ecdsa", "rsa", "dss"} {
		name := "etc/dropbear/dropbear_" + kind + "_host_key"
		if _, ok := img.Resolve(name); !ok {
			continue
		}
		b, err := img.ReadFile(name)
		if err != nil {
			in.problem("%s: not a regular file", name)
			continue
		}
		k, err := dropbear.ParseHostKey(b)
		if err != nil {
			in.problem("%s: %v", name, err)
			continue
		}
		in.HostKeys = append(in.HostKeys, hostKeyOf{name, k.Public().Type(), k.Fingerprint(), k.Describe("")})
	}
	if in.Dropbear != nil && len(in.HostKeys) == 0 {
		in.problem("dropbear has no host key that can be read")
	}
}

// authorizedKeys reads who may log in, with the rules of the release's dropbear
// where that is known.
func (in *inspection) authorizedKeys(img *initrd.Image) {
	b := patches.AuthorizedKeysOf(img)
	if len(b) == 0 {
		if in.Dropbear != nil {
			in.problem("nobody can log in: authorized_keys is empty or missing")
		}
		return
	}
	keys, problems, err := dropbear.ParseAuthorizedKeys(b)
	if v, verr := dropbear.ForRelease(in.Release); verr == nil && err == nil {
		_, problems, err = dropbear.CheckAuthorizedKeys(b, v)
	}
	for _, p := range problems {
		in.problem("authorized_keys: %s", p)
	}
	switch {
	case errors.Is(err, dropbear.ErrPrivateKey):
		in.problem("authorized_keys holds a private key: nobody can log in, and it is no secret any more")
	case err != nil:
		in.problem("%v", err)
	}
	for _, k := range keys {
		in.Authorized = append(in.Authorized, userKeyOf{k.Line, k.Type(), k.Fingerprint(),
			manifest.EscapePath(k.Comment), manifest.EscapePath(k.Options), manifest.EscapePath(k.String())})
	}
}
