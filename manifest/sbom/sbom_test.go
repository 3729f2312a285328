package sbom_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/handmade"
	"groundhog/fixtures/judge"
	"groundhog/manifest"
	"groundhog/manifest/sbom"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
)

func attributed(t testing.TB) *manifest.Manifest {
	m := handmade.Manifest(t, handmade.Archive(t, handmade.Dir("usr"), handmade.Dir("usr/bin"),
		handmade.File("usr/bin/curl", "curl"), handmade.File("usr/bin/ours", "unknown")))
	m.Tool, m.Archive.Name = "groundhog 0.1.0", "initrd.img"
	root := handmade.Debian()
	status := *root["var/lib/dpkg/status"]
	status.Data = append([]byte("Built-Using: glibc (= 2.36-9)\nStatic-Built-Using: rust-libc (= 0.2-1)\n"), status.Data...) // of curl
	root["var/lib/dpkg/status"] = &status
	judge.Must(t, m.Attribute(root))
	return m
}

// spdx/tools-golang reads what we write and finds it valid; with
// GROUNDHOG_SPDX_SCHEMA naming SPDX's own schema (schemas/spdx-schema.json of
// spdx/spdx-spec 2.3) that accepts it, too.
func TestSPDX(t *testing.T) {
	var b, again bytes.Buffer
	for _, out := range []*bytes.Buffer{&b, &again} {
		judge.Must(t, sbom.SPDX(out, attributed(t)))
	}
	if !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("other bytes the second time")
	}
	if schema := os.Getenv("GROUNDHOG_SPDX_SCHEMA"); schema != "" {
		holdAgainst(t, b.Bytes(), schema)
	}
	doc := judge.Value(spdxjson.Read(bytes.NewReader(b.Bytes())))(t)
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	if len(doc.Packages) != 1+2*len(attributed(t).Packages)+2 || !strings.Contains(b.String(), `"pkg:deb/debian/curl@7.88-1?arch=amd64`) {
		t.Errorf("packages: %s", b.String())
	}
}

// Scanners are told the system and its version as os-release(5) has them, and whose packages they are.
func TestOperatingSystem(t *testing.T) {
	for release, want := range map[string][3]string{"bookworm": {"debian", "12", "Debian"}, "noble": {"ubuntu", "24.04", "Ubuntu"}} {
		m := attributed(t)
		m.Release, m.Source = release, manifest.Root
		var spdx, cyclone bytes.Buffer
		judge.Must(t, errors.Join(sbom.SPDX(&spdx, m), sbom.CycloneDX(&cyclone, m)))
		doc := judge.Value(spdxjson.Read(&spdx))(t)
		os, curl := doc.Packages[1], doc.Packages[2]
		if string(os.PackageSPDXIdentifier) != "OperatingSystem" || os.PackageName != want[0] || os.PackageVersion != want[1] {
			t.Errorf("SPDX: %+v", os)
		}
		purl := "pkg:deb/" + want[0] + "/curl@7.88-1?arch=amd64&distro=" + want[0] + "-" + want[1]
		if curl.PackageSupplier.Supplier != want[2] || curl.PackageExternalReferences[0].Locator != purl {
			t.Errorf("SPDX: %+v, %s", curl.PackageSupplier, curl.PackageExternalReferences[0].Locator)
		}
		bom := new(cyclonedx.BOM)
		judge.Must(t, cyclonedx.NewBOMDecoder(&cyclone, cyclonedx.BOMFileFormatJSON).Decode(bom))
		systems := 0
		for _, c := range append(*bom.Components, *bom.Metadata.Component) {
			if c.Type == cyclonedx.ComponentTypeOS {
				systems++
				if c.Name != want[0] || c.Version != want[1] {
					t.Errorf("CycloneDX: %+v", c)
				}
			}
		}
		if systems != 1 {
			t.Errorf("CycloneDX: %d operating systems", systems)
		}
	}
}

// Packages need one another and were built from sources: in both forms each of that is said once, of packages that are listed.
func TestSourcesAndDependencies(t *testing.T) {
	m := attributed(t)
	m.Release, m.Source, m.Architecture = "trixie", manifest.Root, "amd64"
	m.Packages = []manifest.Package{
		{Name: "libssl3t64", Version: "3.5-1", Architecture: "amd64", Source: "openssl", SourceVersion: "3.5-1", Files: 1},
		{Name: "openssl", Version: "3.5-1+b1", Architecture: "amd64", Source: "openssl", SourceVersion: "3.5-1", Files: 1, Depends: []string{"ca-certificates", "libssl3t64"}},
		{Name: "libssl3t64", Version: "3.5-1", Architecture: "armhf", Source: "openssl", SourceVersion: "3.5-1", Files: 1},
		{Name: "foreign", Version: "1", Architecture: "armhf", Source: "openssl", SourceVersion: "3.5-1", Files: 1, Depends: []string{"libssl3t64", "openssl"}},
		{Name: "scripts", Version: "1", Architecture: "all", Source: "openssl", SourceVersion: "3.5-1", Files: 1, Depends: []string{"foreign", "libssl3t64"}},
		{Name: "ca-certificates", Version: "2025", Architecture: "all", Source: "ca-certificates", SourceVersion: "2025", Files: 1,
			BuiltUsing: []manifest.BuiltUsing{{Source: "ca-certificates", Version: "2025"}, {Source: "openssl", Version: "3.5-1", Static: true}, {Source: "rustc", Version: "1.85-3"}, {Source: "rustc", Version: "1.85-3", Static: true}}}}
	var spdx, cyclone bytes.Buffer
	judge.Must(t, errors.Join(sbom.SPDX(&spdx, m), sbom.CycloneDX(&cyclone, m)))
	doc := judge.Value(spdxjson.Read(bytes.NewReader(spdx.Bytes())))(t)
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	named := map[string]string{}
	for _, p := range doc.Packages {
		for _, r := range p.PackageExternalReferences {
			named[string(p.PackageSPDXIdentifier)] = r.Locator
		}
	}
	const distro = "&distro=debian-13"
	lib, tool, certs := "pkg:deb/debian/libssl3t64@3.5-1?arch=amd64"+distro+"&upstream=openssl%403.5-1", "pkg:deb/debian/openssl@3.5-1%2Bb1?arch=amd64"+distro+"&upstream=openssl%403.5-1",
		"pkg:deb/debian/ca-certificates@2025?arch=all"+distro
	foreign := strings.Replace(lib, "amd64", "armhf", 1)
	app, scripts := "pkg:deb/debian/foreign@1?arch=armhf"+distro+"&upstream=openssl%403.5-1", "pkg:deb/debian/scripts@1?arch=all"+distro+"&upstream=openssl%403.5-1"
	source, certSource := "pkg:deb/debian/openssl@3.5-1?arch=source"+distro, "pkg:deb/debian/ca-certificates@2025?arch=source"+distro
	rust := "pkg:deb/debian/rustc@1.85-3?arch=source" + distro
	got := map[string]bool{}
	for _, r := range doc.Relationships {
		if r.Relationship == "DEPENDS_ON" || strings.HasPrefix(r.Relationship, "GENERATE") {
			got[strings.TrimSpace(r.Relationship+" "+r.RelationshipComment)+" "+named[string(r.RefA.ElementRefID)]+" "+named[string(r.RefB.ElementRefID)]] = true
		}
	}
	want := map[string]bool{"DEPENDS_ON " + app + " " + foreign: true, "DEPENDS_ON " + app + " " + tool: true, "GENERATES " + source + " " + app: true,
		"DEPENDS_ON " + scripts + " " + lib: true, "DEPENDS_ON " + scripts + " " + app: true, "GENERATES " + source + " " + scripts: true,
		"DEPENDS_ON " + tool + " " + lib: true, "DEPENDS_ON " + tool + " " + certs: true, "GENERATES " + source + " " + lib: true,
		"GENERATES " + source + " " + tool: true, "GENERATES " + source + " " + foreign: true, "GENERATES " + certSource + " " + certs: true,
		"GENERATED_FROM Built-Using " + certs + " " + certSource: true, "GENERATED_FROM Static-Built-Using " + certs + " " + source: true,
		"GENERATED_FROM Built-Using " + certs + " " + rust: true, "GENERATED_FROM Static-Built-Using " + certs + " " + rust: true}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("SPDX (-want +got):\n%s", d)
	}
	if named["OperatingSystem"] != "cpe:2.3:o:debian:debian_linux:13:*:*:*:*:*:*:*" {
		t.Errorf("SPDX's system: %q", named["OperatingSystem"])
	}
	bom := new(cyclonedx.BOM)
	judge.Must(t, cyclonedx.NewBOMDecoder(bytes.NewReader(cyclone.Bytes()), cyclonedx.BOMFileFormatJSON).Decode(bom))
	on := map[string][]string{}
	for _, d := range *bom.Dependencies {
		if d.Ref != "main" {
			on[d.Ref] = *d.Dependencies
		}
	}
	if d := cmp.Diff(map[string][]string{app: {foreign, tool, source}, scripts: {app, lib, source}, tool: {certs, lib, source}, lib: {source}, foreign: {source}, certs: {certSource, source, rust}}, on,
		cmpopts.SortSlices(strings.Compare)); d != "" {
		t.Errorf("CycloneDX (-want +got):\n%s", d)
	}
	refs := map[string]int{}
	for _, c := range *bom.Components {
		refs[c.BOMRef]++
	}
	if refs[source] != 1 || refs[rust] != 1 || refs[certSource] != 1 || (*bom.Components)[0].CPE != named["OperatingSystem"] {
		t.Errorf("CycloneDX: %v", refs)
	}
}

// A bill of materials that lists nothing is refused, whatever system it would list nothing of.
func TestEmpty(t *testing.T) {
	m := handmade.Manifest(t, handmade.Archive(t, handmade.Dir("usr")))
	m.Release = "trixie"
	for _, write := range []func(io.Writer, *manifest.Manifest) error{sbom.SPDX, sbom.CycloneDX} {
		if err := write(io.Discard, m); !errors.Is(err, sbom.ErrEmpty) {
			t.Errorf("got %v", err)
		}
	}
}

// CycloneDX's own schema, which comes with its library, accepts what we write.
func TestCycloneDX(t *testing.T) {
	var b, again bytes.Buffer
	for _, out := range []*bytes.Buffer{&b, &again} {
		judge.Must(t, sbom.CycloneDX(out, attributed(t)))
	}
	if !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Error("other bytes the second time")
	}
	bom := new(cyclonedx.BOM)
	judge.Must(t, cyclonedx.NewBOMDecoder(bytes.NewReader(b.Bytes()), cyclonedx.BOMFileFormatJSON).Decode(bom))
	out := judge.Output(t, exec.Command(judge.Tool(t, "go"), "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go"))
	holdAgainst(t, b.Bytes(), filepath.Join(strings.TrimSpace(string(out)), "schema", "bom-1.6.schema.json"))
}

// holdAgainst validates a document by the schema in a file; schemas that it
// refers to lie beside it.
func holdAgainst(t *testing.T, b []byte, file string) {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.UseLoader(beside(filepath.Dir(file)))
	schema := judge.Value(c.Compile("http://local/" + filepath.Base(file)))(t)
	inst := judge.Value(jsonschema.UnmarshalJSON(bytes.NewReader(b)))(t)
	if err := schema.Validate(inst); err != nil {
		t.Errorf("%s: %v", filepath.Base(file), err)
	}
}

// beside loads schemas by the last element of their URL from a directory.
type beside string

func (d beside) Load(url string) (any, error) {
	base := filepath.Base(url)
	f, err := os.Open(filepath.Join(string(d), base))
	if os.IsNotExist(err) { // the library calls this one by a slip of the pen
		f, err = os.Open(filepath.Join(string(d), strings.Replace(base, ".schema.json", ".schemax.json", 1)))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return jsonschema.UnmarshalJSON(f)
}
