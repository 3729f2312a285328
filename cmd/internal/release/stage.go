package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// staging is where a release's files come together.
type staging struct {
	dir     string
	version string
	when    time.Time // of the commit
	env     []string  // of every command
	shared  string    // what is the same for all architectures, as below /usr
}

func newStage(dir string) (*staging, error) {
	seconds, err := commandOutput(nil, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the commit's time: %w", err)
	}
	s := &staging{dir: dir, when: time.Unix(n, 0).UTC(), shared: filepath.Join(dir, "shared")}
	s.env = []string{"CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "SOURCE_DATE_EPOCH=" + seconds}
	if _, err := commandOutput(s.env, "go", "run", "./cmd/internal/writers/build", "cmd/groundhog/writers"); err != nil {
		return nil, err
	}
	own := filepath.Join(dir, "groundhog")
	if _, err := commandOutput(s.env, "go", "build", "-trimpath", "-tags", "man", "-o", own, "./cmd/groundhog"); err != nil {
		return nil, err
	}
	said, err := commandOutput(s.env, own, "--version")
	if err != nil {
		return nil, err
	}
	words := strings.Fields(said) // groundhog version 0.2.2
	s.version = words[len(words)-1]
	return s, s.stageShared(own)
}

// stageShared makes the man pages, the shells' scripts and the texts.
func (s *staging) stageShared(own string) error {
	man := filepath.Join(s.dir, "man")
	if err := os.MkdirAll(man, 0o755); err != nil {
		return err
	}
	if _, err := commandOutput(s.env, own, "man", man); err != nil {
		return err
	}
	pages, err := os.ReadDir(man)
	if err != nil {
		return err
	}
	for _, page := range pages {
		b, err := os.ReadFile(filepath.Join(man, page.Name()))
		if err != nil {
			return err
		}
		section := strings.TrimPrefix(filepath.Ext(page.Name()), ".")
		if err := s.putFile("share/man/man"+section+"/"+page.Name()+".gz", gzipped(b)); err != nil {
			return err
		}
	}
	for shell, place := range map[string]string{
		"bash": "share/bash-completion/completions/groundhog",
		"zsh":  "share/zsh/vendor-completions/_groundhog",
		"fish": "share/fish/vendor_completions.d/groundhog.fish",
	} {
		script, err := commandOutput(s.env, own, "completion", shell)
		if err != nil {
			return err
		}
		if err := s.putFile(place, []byte(script+"\n")); err != nil {
			return err
		}
	}
	for name, place := range map[string]string{"README.md": "share/doc/groundhog/README.md.gz", "CHANGELOG.md": "share/doc/groundhog/CHANGELOG.md.gz"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := s.putFile(place, gzipped(b)); err != nil {
			return err
		}
	}
	for place, text := range map[string][]byte{
		"share/doc/groundhog/copyright":     fmt.Appendf(nil, debCopyright, s.when.Year()),
		"share/doc/groundhog/changelog.gz":  gzipped(fmt.Appendf(nil, debChangelog, s.version, maintainer, s.when.Format(time.RFC1123Z))),
		"share/lintian/overrides/groundhog": []byte(lintianOverrides),
	} {
		if err := s.putFile(place, text); err != nil {
			return err
		}
	}
	return nil
}

func (s *staging) putFile(name string, b []byte) error {
	path := filepath.Join(s.shared, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// fillTree makes the tree of an architecture: what lies below /usr.
func (s *staging) fillTree(arch string) (string, error) {
	tree := filepath.Join(s.dir, arch)
	if err := os.CopyFS(tree, os.DirFS(s.shared)); err != nil {
		return "", err
	}
	env := append([]string{"GOOS=linux", "GOARCH=" + arch, "GOAMD64=v1", "GOARM64=v8.0"}, s.env...)
	args := []string{"build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid="}
	for _, name := range notInlined {
		args = append(args, "-gcflags="+name+"=-l")
	}
	_, err := commandOutput(env, "go", append(args, "-o", filepath.Join(tree, "bin/groundhog"), "./cmd/groundhog")...)
	return tree, err
}

// notInlined is packages whose functions the compiler is not to inline: nobody waits for what they do, and to inline them makes
// the program a megabyte larger. A release has at most 21 MiB.
var notInlined = []string{"net", "net/http", "crypto/tls", "crypto/x509", "crypto/ecdsa", "crypto/rsa", "debug/elf", "encoding/asn1", "encoding/gob", "encoding/json", "encoding/xml", "html/template", "text/template",
	"text/template/parse", "regexp/syntax", "net/url", "net/textproto", "net/netip", "mime/...", "crypto/internal/fips140/nistec/...", "crypto/internal/fips140/rsa", "crypto/internal/fips140/ecdsa", "crypto/internal/fips140/mlkem", "crypto/internal/fips140/bigmod", "crypto/internal/fips140/sha3", "crypto/mlkem", "crypto/hpke", "golang.org/x/net/...",
	"vendor/golang.org/x/...", "golang.org/x/crypto/ssh/...", "mvdan.cc/sh/v3/syntax", "github.com/CycloneDX/cyclonedx-go", "github.com/spdx/tools-golang/...", "github.com/diskfs/...",
	"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/rogpeppe/go-internal/...", "math/big", "os/exec", "os/user", "os/signal", "text/tabwriter", "flag", "log", "internal/zstd",
	"regexp", "path/filepath", "io/fs", "os",
	"groundhog/cmd/groundhog", "groundhog/cmd/internal/confine", "groundhog/cmd/internal/device", "groundhog/cmd/internal/extract", "groundhog/cmd/internal/flash/image",
	"groundhog/cmd/internal/flash/image/entry", "groundhog/cmd/internal/flash/image/fat", "groundhog/cmd/internal/flash/image/index",
	"groundhog/cmd/internal/flash/image/sniff", "groundhog/cmd/internal/flash/image/table", "groundhog/cmd/internal/input", "groundhog/cmd/internal/inspect",
	"groundhog/cmd/internal/kexec", "groundhog/cmd/internal/loader", "groundhog/cmd/internal/output", "groundhog/cmd/internal/push", "groundhog/cmd/internal/reflash",
	"groundhog/cmd/internal/tell", "groundhog/initrd/debian", "groundhog/initrd/debian/dropbear", "groundhog/manifest/sbom", "groundhog/manifest/sign", "groundhog/patches",
	"groundhog/patches/scripts", "groundhog/patches/sysroot", "groundhog/patches/undo"}

// maintainer of the packages. There is no address yet that one could write to.
const maintainer = "The groundhog developers <groundhog@localhost.localdomain>"

// debChangelog is one in Debian's form; what changed is in CHANGELOG.md, for those who run the tool.
const debChangelog = `groundhog (%s) unstable; urgency=medium

  * What is new: see CHANGELOG.md.gz beside this file.

 -- %s  %s
`

// lintianOverrides says to lintian(1) what is meant to be so.
const lintianOverrides = `# It patches initramfs of any release, and has to start on all of them.
groundhog: statically-linked-binary [usr/bin/groundhog]
# The packages are built by whoever uses them; the project has no mail host.
groundhog: bogus-mail-host Maintainer groundhog@localhost.localdomain
groundhog: bogus-mail-host-in-debian-changelog groundhog@localhost.localdomain *
# A name in a library's message, and what packed bytes happen to spell.
groundhog: spelling-error-in-binary * [usr/bin/groundhog]
`

// debCopyright is debian/copyright in its machine-readable form (DEP-5).
const debCopyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: groundhog

Files: *
Copyright: %d the authors of groundhog
License: Apache-2.0
 On Debian systems the full text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
`
