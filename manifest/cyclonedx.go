package manifest

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// EncodeCycloneDX writes a manifest as a CycloneDX 1.6 bill of materials in
// JSON: the archive or root tree, the Debian packages in it, and the files that
// come from no package.
func EncodeCycloneDX(w io.Writer, m *Manifest) error {
	digest, err := digestOf(m)
	if err != nil {
		return err
	}
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = "urn:uuid:" + uuid(digest)
	main := m.cycloneMain()
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
	for _, p := range m.Packages {
		add(m.cyclonePackage(p))
	}
	for i := range m.Entries {
		if e := &m.Entries[i]; e.Type == File && e.LinkOf == "" && (e.Origin == nil || e.Origin.Kind != FromPackage) {
			add(cycloneFile(e))
		}
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &contains}}
	enc := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := enc.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return fmt.Errorf("writing CycloneDX: %w", err)
	}
	return nil
}

// uuid makes a UUID of version 8 (RFC 9562) of a digest.
func uuid(digest string) string {
	variant := "89ab"[digest[16]&3]
	return digest[:8] + "-" + digest[8:12] + "-8" + digest[13:16] + "-" + string(variant) + digest[17:20] + "-" + digest[20:32]
}

func (m *Manifest) cycloneMain() *cyclonedx.Component {
	c := &cyclonedx.Component{BOMRef: "main", Type: cyclonedx.ComponentTypeFirmware, Name: m.title(), Description: m.about()}
	if m.Source == Root {
		c.Type = cyclonedx.ComponentTypeOS
	}
	if m.Archive != nil {
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: m.Archive.SHA256}}
	}
	return c
}

func (m *Manifest) cyclonePackage(p Package) cyclonedx.Component {
	purl := m.purl(p)
	return cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: p.Name, Version: p.Version, PackageURL: purl,
		Properties: &[]cyclonedx.Property{{Name: "groundhog:files", Value: strconv.Itoa(p.Files)},
			{Name: "groundhog:bytes", Value: strconv.FormatInt(p.Bytes, 10)}}}
}

func cycloneFile(e *Entry) cyclonedx.Component {
	c := cyclonedx.Component{BOMRef: "file:" + e.Path, Type: cyclonedx.ComponentTypeFile, Name: e.Path,
		Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: e.SHA256}}}
	if o := e.Origin; o != nil {
		c.Properties = &[]cyclonedx.Property{{Name: "groundhog:origin", Value: strings.TrimSpace(string(o.Kind) + " " + o.Name)}}
	}
	return c
}
