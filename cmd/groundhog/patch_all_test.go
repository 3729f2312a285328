package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/manifest"
)

// sshKeygen is the judge of what OpenSSH reads.
func sshKeygen(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(judge.Tool(t, "ssh-keygen"), args...).CombinedOutput()
	if err != nil {
		t.Errorf("ssh-keygen %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// Of every release, with dropbear and without, written anew and appended: the
// manifest holds, OpenSSH knows the device, three files are there and no
// more, and the private keys are in the archive alone.
func TestPatchReleases(t *testing.T) {
	for _, release := range []string{"buster", "bullseye", "bookworm", "trixie"} {
		for _, kind := range []string{"dropbear", "plain"} {
			for _, how := range []string{"repack", "append"} {
				t.Run(release+"/"+kind+"/"+how, func(t *testing.T) {
					dir, out := t.TempDir(), t.TempDir()
					judge.Must(t, writeTarget(dir, release, kind == "dropbear", initrd.Zstd))
					args := []string{"patch", filepath.Join(dir, "initrd.img"), "--root", filepath.Join(dir, "root"), "-v",
						"--authorized-keys", filepath.Join(dir, "id.pub"), "-o", filepath.Join(out, "x.img")}
					if kind == "plain" {
						args = append(args, "--host-key", ecdsaFile(t))
					}
					if how == "append" {
						args = append(args, "--append")
					}
					said := patched3(t, out, args)
					said += runOK(t, append(args, "--dry-run")) + runOK(t, append(args, "--json"))
					checkPatched(t, filepath.Join(out, "x.img"), said)
				})
			}
		}
	}
}

// New host keys are as large as those of ssh-keygen are.
func TestNewHostKeys(t *testing.T) {
	dir := t.TempDir()
	judge.Must(t, writeTarget(dir, "bookworm", true, initrd.None))
	out := filepath.Join(dir, "x.img")
	runOK(t, []string{"patch", filepath.Join(dir, "initrd.img"), "--root", filepath.Join(dir, "root"), "--host-key", "new", "-o", out})
	got := sshKeygen(t, "-l", "-f", out+".known_hosts")
	for _, kind := range []string{`256 .*\(ED25519\)`, `256 .*\(ECDSA\)`, `3072 .*\(RSA\)`} {
		if !regexp.MustCompile("(?m)^" + kind + "$").MatchString(got) {
			t.Errorf("no %s in\n%s", kind, got)
		}
	}
}

func ecdsaFile(t *testing.T) string {
	name := filepath.Join(t.TempDir(), "key")
	judge.WriteFile(t, name, tiny.HostKeys[0].Marshal())
	return name
}

func runOK(t *testing.T, args []string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(args, nil, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("groundhog %q: exit %d: %s", args, code, stderr.String())
	}
	return stdout.String()
}

// patched3 runs groundhog twice and wants the same three files in out.
func patched3(t *testing.T, out string, args []string) string {
	t.Helper()
	said := runOK(t, args)
	first := judge.Value(listing(out))(t)
	again := runOK(t, args)
	second := judge.Value(listing(out))(t)
	if said != again || first != second || strings.Count(first, "\n") != 4 {
		t.Errorf("twice the same gave\n%s%sand\n%s%s", said, first, again, second)
	}
	return said
}

func checkPatched(t *testing.T, archive, said string) {
	t.Helper()
	b := judge.ReadFile(t, archive)
	img := judge.Value(initrd.Read(bytes.NewReader(b), initrd.Limits{}))(t)
	text := judge.ReadFile(t, archive+".manifest.json")
	m := judge.Value(manifest.Decode(bytes.NewReader(text), manifest.Limits{}))(t)
	if found, err := manifest.Verify(img, m); err != nil || len(found) > 0 {
		t.Errorf("the manifest does not hold: %v, %v", found, err)
	}
	known := judge.ReadFile(t, archive+".known_hosts")
	if got := sshKeygen(t, "-F", "device.example", "-f", archive+".known_hosts"); strings.Count(got, "\n* ") != strings.Count(string(known), "\n") {
		t.Errorf("ssh-keygen finds\n%s\nin\n%s", got, known)
	}
	all := said + string(text) + string(known)
	for i, secret := range tiny.Secrets {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
			if strings.Contains(all, form) {
				t.Errorf("the private %s key is in what everybody reads", tiny.HostKeys[i].Type())
			}
		}
	}
}
