package sbom

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"

	"github.com/CycloneDX/cyclonedx-go"
)

// CycloneDX writes a manifest as a CycloneDX 1.6 bill of materials in
// JSON: the archive or root tree, the Debian packages in it, their sources, and the files that
// come from no package.
func CycloneDX(w io.Writer, m *manifest.Manifest) error {
	digest, err := digestOf(m)
	if err != nil {
		return err
	}
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = "urn:uuid:" + digestUUID(digest)
	main := cycloneMain(m)
	tool, version, _ := strings.Cut(cmp.Or(m.Tool, "groundhog"), " ")
	bom.Metadata = &cyclonedx.Metadata{Timestamp: cmp.Or(m.Created, epoch), Component: main,
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{
			{Type: cyclonedx.ComponentTypeApplication, Name: tool, Version: version}}}}
	components := []cyclonedx.Component{}
	contains := []string{}
	add := func(c cyclonedx.Component) {
		components = append(components, c)
		contains = append(contains, c.BOMRef)
	}
	if len(m.Packages) == 0 && !slices.ContainsFunc(m.Entries, func(e manifest.Entry) bool { return e.Type == manifest.File }) {
		return fmt.Errorf("writing CycloneDX: %w", ErrEmpty)
	}
	if s, ok := systemOf(m); ok { // Trivy leaves packages out where there is no component of this type, and refuses two
		add(cyclonedx.Component{BOMRef: "os:" + s.id + "@" + s.version, Type: cyclonedx.ComponentTypeOS, Name: s.id, Version: s.version, CPE: s.cpeName(),
			SWID: &cyclonedx.SWID{TagID: s.id, Name: s.id, Version: s.version}})
	}
	for _, p := range m.Packages {
		add(cyclonePackage(m, p))
	}
	for i := range m.Entries {
		if e := &m.Entries[i]; e.Type == manifest.File && e.LinkOf == "" && (e.Origin == nil || e.Origin.Kind != manifest.FromPackage) {
			add(cycloneFile(e))
		}
	}
	for _, src := range sourcePackages(m) {
		components = append(components, cyclonedx.Component{BOMRef: sourcePurl(m, src), Type: cyclonedx.ComponentTypeLibrary, Name: src.name, Version: src.version, PackageURL: sourcePurl(m, src)})
	}
	dependencies := []cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &contains}}
	for i, list := range neededPackages(m) { // CycloneDX has no word for a source: one depends on it
		p := m.Packages[i]
		var on []string
		for _, j := range list {
			on = append(on, packageURL(m, m.Packages[j]))
		}
		if p.Source != "" {
			on = append(on, sourcePurl(m, sourceOf{p.Source, p.SourceVersion}))
		}
		for _, b := range p.BuiltUsing {
			if src := sourcePurl(m, sourceOf{b.Source, b.Version}); !slices.Contains(on, src) {
				on = append(on, src)
			}
		}
		if len(on) > 0 {
			dependencies = append(dependencies, cyclonedx.Dependency{Ref: packageURL(m, p), Dependencies: &on})
		}
	}
	bom.Components = &components
	bom.Dependencies = &dependencies
	enc := cyclonedx.NewBOMEncoder(show.JSONWriter(w), cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := enc.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return fmt.Errorf("writing CycloneDX: %w", err)
	}
	return nil
}

// digestUUID makes a UUID of version 8 (RFC 9562) of a digest.
func digestUUID(digest string) string {
	variant := "89ab"[digest[16]&3]
	return digest[:8] + "-" + digest[8:12] + "-8" + digest[13:16] + "-" + string(variant) + digest[17:20] + "-" + digest[20:32]
}

func cycloneMain(m *manifest.Manifest) *cyclonedx.Component {
	c := &cyclonedx.Component{BOMRef: "main", Type: cyclonedx.ComponentTypePlatform, Name: componentTitle(m), Description: manifestSummary(m)}
	if m.Archive != nil {
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: m.Archive.SHA256}}
	}
	return c
}

func cyclonePackage(m *manifest.Manifest, p manifest.Package) cyclonedx.Component {
	purl := packageURL(m, p)
	return cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: p.Name, Version: p.Version, PackageURL: purl,
		Properties: &[]cyclonedx.Property{{Name: "aquasecurity:trivy:SrcName", Value: p.Source}, {Name: "aquasecurity:trivy:SrcVersion", Value: p.SourceVersion},
			{Name: "groundhog:files", Value: strconv.Itoa(p.Files)},
			{Name: "groundhog:bytes", Value: strconv.FormatInt(p.Bytes, 10)}}}
}

func cycloneFile(e *manifest.Entry) cyclonedx.Component {
	c := cyclonedx.Component{BOMRef: "file:" + e.Path, Type: cyclonedx.ComponentTypeFile, Name: e.Path,
		Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: e.SHA256}}}
	if o := e.Origin; o != nil {
		c.Properties = &[]cyclonedx.Property{{Name: "groundhog:origin", Value: strings.TrimSpace(string(o.Kind) + " " + o.Name)}}
	}
	return c
}
