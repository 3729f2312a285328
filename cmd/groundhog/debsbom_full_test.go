//go:build full

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"

	"github.com/google/go-cmp/cmp"
)

// bill is what a bill of materials says of packages: which there are, and which of them have to do with which.
type bill map[string]bool

// plainPurl is a package's URL with nothing behind it but its architecture: the system that it is of only we know of every one.
func plainPurl(t *testing.T, purl string) string {
	t.Helper()
	name, query, _ := strings.Cut(purl, "?")
	name, err := url.PathUnescape(name)
	if err != nil {
		t.Fatal(err)
	}
	fields := judge.Value(url.ParseQuery(query))(t)
	return name + " " + fields.Get("arch")
}

// spdxBill reads an SPDX document, without which packages need which if needs is false.
func spdxBill(t *testing.T, text []byte, needs bool) bill {
	t.Helper()
	var doc struct {
		Packages []struct {
			ID   string `json:"SPDXID"`
			Refs []struct {
				Type    string `json:"referenceType"`
				Locator string `json:"referenceLocator"`
			} `json:"externalRefs"`
		}
		Relationships []struct {
			Kind    string `json:"relationshipType"`
			A       string `json:"spdxElementId"`
			B       string `json:"relatedSpdxElement"`
			Comment string `json:"comment"`
		}
	}
	judge.Must(t, json.Unmarshal(text, &doc))
	b, name := bill{}, map[string]string{}
	for _, p := range doc.Packages {
		for _, r := range p.Refs {
			if r.Type == "purl" {
				name[p.ID] = plainPurl(t, r.Locator)
				b[name[p.ID]] = true
			}
		}
	}
	for _, r := range doc.Relationships {
		if x, y := name[r.A], name[r.B]; x != "" && y != "" && (needs || r.Kind != "DEPENDS_ON") {
			b[fmt.Sprint(x, " ", r.Kind, " ", strings.ToLower(r.Comment), " ", y)] = true
		}
	}
	return b
}

func cycloneBill(t *testing.T, text []byte) bill {
	t.Helper()
	var doc struct {
		Components []struct {
			Ref  string `json:"bom-ref"`
			Purl string
		}
		Dependencies []struct {
			Ref string
			On  []string `json:"dependsOn"`
		}
	}
	judge.Must(t, json.Unmarshal(text, &doc))
	b, name := bill{}, map[string]string{}
	for _, c := range doc.Components {
		if c.Purl != "" {
			name[c.Ref] = plainPurl(t, c.Purl)
			b[name[c.Ref]] = true
		}
	}
	for _, d := range doc.Dependencies {
		for _, on := range d.On {
			if x, y := name[d.Ref], name[on]; x != "" && y != "" {
				b[x+" on "+y] = true
			}
		}
	}
	return b
}

// foreignRecords is a status file with what Debian's targets have not: several architectures, versions that do not fit, names that
// others provide.
const foreignRecords = `Package: lib
Architecture: amd64
Multi-Arch: same
Source: foo (1-0)

Package: lib
Architecture: i386
Multi-Arch: same
Source: foo (1-0)

Package: foreign
Architecture: i386
Depends: tool (>> 2:0.4), all-of-it

Package: app
Architecture: amd64
Pre-Depends: lib (>= 1-1~)
Depends: absent | tool (>= 2), virtual, versioned (>= 3), versioned-too (= 1)

Package: tool
Architecture: amd64
Version: 2:0.5
Multi-Arch: foreign
Source: tools

Package: first
Architecture: amd64
Provides: virtual, versioned, versioned-too (= 1)

Package: second
Architecture: amd64
Provides: versioned (= 4)

Package: all-of-it
Architecture: all
Depends: app, tool
Built-Using: gcc-14 (= 14.2.0-19), rustc (= 1.85)
Static-Built-Using: gcc-14 (= 14.2.0-19)

Package: old
Architecture: amd64
Depends: lib (<< 1-1), tool (<= 2:0.5)

Package: c++
Architecture: amd64
Version: 1:2+dfsg~rc1-1+b1
Source: c++-src
Depends: lib (= 1-1)
`

// foreignTree is a root tree of those records.
func foreignTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		judge.WriteTree(t, root, map[string]string{name: text})
	}
	var status strings.Builder
	for text := range strings.SplitSeq(strings.TrimSpace(foreignRecords), "\n\n") {
		if !strings.Contains(text, "\nVersion:") {
			text += "\nVersion: 1-1"
		}
		status.WriteString(text + "\nStatus: install ok installed\nMaintainer: Some <some@example.org>\nDescription: x\n\n")
		var name, arch string
		fmt.Sscanf(text, "Package: %s\nArchitecture: %s", &name, &arch)
		if strings.Contains(text, "Multi-Arch: same") {
			name += ":" + arch
		}
		write("var/lib/dpkg/info/"+name+".list", "/.\n")
	}
	write("var/lib/dpkg/status", status.String())
	write("var/lib/dpkg/arch-native", "amd64\n")
	write("etc/os-release", "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n")
	return root
}

// debsbom, which is in Debian as of forky, and our bills of materials have the same packages, sources and dependencies of the
// same tree, and SPDX's own reference tool finds ours valid. What Depends names is not in its SPDX where a package has no
// more than Pre-Depends; in its CycloneDX it is, which ours is held against in full.
func TestDebsbom(t *testing.T) {
	t.Parallel()
	judge.Root(t, "make a root tree to work in")
	judge.Tools(t, "mmdebstrap", "chroot", "tar")
	tools := t.TempDir()
	judge.Must(t, fixtures.Minbase(t.Context(), "forky", tools, []string{"debsbom", "python3-cyclonedx-lib", "python3-spdx-tools"}, t.Output()))
	inside := func(input []byte, args ...string) []byte {
		t.Helper()
		cmd := exec.Command("chroot", append([]string{tools, "env", "PYTHONHASHSEED=0"}, args...)...)
		cmd.Stdin = bytes.NewReader(input)
		return judge.Output(t, cmd)
	}
	for name, root := range map[string]string{"trixie": target(t, "trixie", "amd64").Root, "foreign": foreignTree(t)} {
		t.Run(name, func(t *testing.T) {
			records := judge.Output(t, exec.Command("tar", "-C", root, "-c", "./var/lib/dpkg"))
			ours := func(format string) []byte { return []byte(groundhog(t, 0, "manifest", root, "--format", format)) }
			theirs := func(format string) []byte {
				return inside(records, "debsbom", "generate", "--root", "-", "--out", "-", "--no-recommends-deps", "--sbom-type", format)
			}
			cyclone, spdx := cycloneBill(t, ours("cyclonedx")), ours("spdx")
			if diff := cmp.Diff(cycloneBill(t, theirs("cdx")), cyclone); diff != "" || len(cyclone) < 20 {
				t.Errorf("CycloneDX (-debsbom +ours):\n%s", diff)
			}
			if diff := cmp.Diff(spdxBill(t, theirs("spdx"), false), spdxBill(t, spdx, false)); diff != "" {
				t.Errorf("SPDX (-debsbom +ours):\n%s", diff)
			}
			both := bill{}
			for line := range cyclone {
				if x, y, ok := strings.Cut(line, " on "); ok && !strings.HasSuffix(y, " source") {
					both[x+" DEPENDS_ON  "+y] = true
				}
			}
			maps.DeleteFunc(cyclone, func(line string, _ bool) bool { return strings.Contains(line, " on ") })
			maps.Copy(both, cyclone)
			got := spdxBill(t, spdx, true)
			maps.DeleteFunc(got, func(line string, _ bool) bool { return strings.Contains(line, " GENERATE") })
			if diff := cmp.Diff(both, got); diff != "" {
				t.Errorf("needs (-CycloneDX +SPDX):\n%s", diff)
			}
			judge.Must(t, os.WriteFile(filepath.Join(tools, "ours.spdx.json"), spdx, 0o644))
			inside(nil, "pyspdxtools", "--infile", "/ours.spdx.json")
		})
	}
	judge.Must(t, os.WriteFile(filepath.Join(tools, "bad.spdx.json"), bytes.Replace([]byte(groundhog(t, 0, "manifest", foreignTree(t), "--format", "spdx")), []byte("PACKAGE-MANAGER"), []byte("PACKAGES"), 1), 0o644))
	if err := exec.Command("chroot", tools, "pyspdxtools", "--infile", "/bad.spdx.json").Run(); err == nil {
		t.Error("SPDX's tool would find anything valid")
	}
}
