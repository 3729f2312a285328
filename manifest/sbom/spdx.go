package sbom

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// SPDX writes a manifest as an SPDX 2.3 document in JSON: the archive or
// root tree, and the Debian packages that it contains.
func SPDX(w io.Writer, m *manifest.Manifest) error {
	if len(m.Packages) == 0 {
		return fmt.Errorf("writing SPDX: %w", ErrEmpty)
	}
	digest, err := digestOf(m)
	if err != nil {
		return err
	}
	doc := &v2_3.Document{
		SPDXVersion:       v2_3.Version,
		DataLicense:       v2_3.DataLicense,
		SPDXIdentifier:    "DOCUMENT",
		DocumentName:      componentTitle(m),
		DocumentNamespace: "https://spdx.org/spdxdocs/groundhog-" + digest,
		CreationInfo: &v2_3.CreationInfo{Created: cmp.Or(m.Created, epoch),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: strings.ReplaceAll(cmp.Or(m.Tool, "groundhog"), " ", "-")}}},
	}
	main := spdxMain(m)
	doc.Packages = append(doc.Packages, main)
	doc.Relationships = append(doc.Relationships, spdxRelation("DOCUMENT", "DESCRIBES", main.PackageSPDXIdentifier))
	if s, ok := systemOf(m); ok {
		os := spdxSystem(s)
		doc.Packages = append(doc.Packages, os)
		doc.Relationships = append(doc.Relationships, spdxRelation(main.PackageSPDXIdentifier, "CONTAINS", os.PackageSPDXIdentifier))
	}
	for i, p := range m.Packages {
		one := spdxPackage(m, i, p)
		doc.Packages = append(doc.Packages, one)
		doc.Relationships = append(doc.Relationships, spdxRelation(main.PackageSPDXIdentifier, "CONTAINS", one.PackageSPDXIdentifier))
	}
	for i, list := range neededPackages(m) {
		for _, j := range list {
			doc.Relationships = append(doc.Relationships, spdxRelation(packageID(i), "DEPENDS_ON", packageID(j)))
		}
	}
	for i, src := range sourcePackages(m) {
		one := spdxSource(m, i, src)
		doc.Packages = append(doc.Packages, one)
		for j, p := range m.Packages {
			if (sourceOf{p.Source, p.SourceVersion}) == src {
				doc.Relationships = append(doc.Relationships, spdxRelation(one.PackageSPDXIdentifier, "GENERATES", packageID(j)))
			}
			for _, b := range p.BuiltUsing {
				if (sourceOf{b.Source, b.Version}) == src {
					from := spdxRelation(packageID(j), "GENERATED_FROM", one.PackageSPDXIdentifier)
					if from.RelationshipComment = "Built-Using"; b.Static {
						from.RelationshipComment = "Static-Built-Using"
					}
					doc.Relationships = append(doc.Relationships, from)
				}
			}
		}
	}
	var b bytes.Buffer
	if err := json.Write(doc, &b, json.Indent("  "), json.EscapeHTML(false)); err != nil {
		return fmt.Errorf("writing SPDX: %w", err)
	}
	_, err = w.Write(append(show.JSON(bytes.TrimRight(b.Bytes(), "\n")), '\n'))
	return err
}

func spdxRelation(a common.ElementID, kind string, b common.ElementID) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.MakeDocElementID("", string(a)), RefB: common.MakeDocElementID("", string(b)), Relationship: kind}
}

const noAssertion = "NOASSERTION"

func spdxMain(m *manifest.Manifest) *v2_3.Package {
	p := &v2_3.Package{PackageName: componentTitle(m), PackageSPDXIdentifier: "main", PackageDownloadLocation: noAssertion,
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion,
		PrimaryPackagePurpose: "ARCHIVE", PackageComment: manifestSummary(m)}
	if m.Source == manifest.Root {
		p.PrimaryPackagePurpose = "OPERATING-SYSTEM"
	}
	if m.Archive != nil {
		p.PackageFileName = m.Archive.Name
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: m.Archive.SHA256}}
	}
	return p
}

// spdxSystem is the operating system. Trivy takes the package for it whose identifier begins like this one.
func spdxSystem(s operatingSystem) *v2_3.Package {
	p := &v2_3.Package{PackageName: s.id, PackageVersion: s.version, PackageSPDXIdentifier: "OperatingSystem",
		PackageSupplier:         &common.Supplier{Supplier: s.supplier, SupplierType: "Organization"},
		PackageDownloadLocation: noAssertion, PackageLicenseConcluded: noAssertion,
		PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion, PrimaryPackagePurpose: "OPERATING-SYSTEM"}
	if cpe := s.cpeName(); cpe != "" {
		p.PackageExternalReferences = []*v2_3.PackageExternalReference{{Category: "SECURITY", RefType: "cpe23Type", Locator: cpe}}
	}
	return p
}

// supplierOf is who the packages are from: not known of a release that is nobody's that we know.
func supplierOf(m *manifest.Manifest) *common.Supplier {
	if s, ok := systemOf(m); ok {
		return &common.Supplier{Supplier: s.supplier, SupplierType: "Organization"}
	}
	return &common.Supplier{Supplier: noAssertion}
}

func packageID(i int) common.ElementID { return common.ElementID(fmt.Sprintf("deb-%d", i)) }

// spdxSource is a source package, which nothing of is here but what was built from it.
func spdxSource(m *manifest.Manifest, i int, s sourceOf) *v2_3.Package {
	return &v2_3.Package{PackageName: s.name, PackageVersion: s.version, PackageSPDXIdentifier: common.ElementID(fmt.Sprintf("source-%d", i)),
		PackageSupplier: supplierOf(m), PackageDownloadLocation: noAssertion, PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion,
		PackageCopyrightText: noAssertion, PrimaryPackagePurpose: "SOURCE", PackageSummary: "what packages here were built from",
		PackageExternalReferences: []*v2_3.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: sourcePurl(m, s)}}}
}

func spdxPackage(m *manifest.Manifest, i int, p manifest.Package) *v2_3.Package {
	return &v2_3.Package{PackageName: p.Name, PackageVersion: p.Version,
		PackageSPDXIdentifier:   packageID(i),
		PrimaryPackagePurpose:   "LIBRARY",
		PackageSupplier:         supplierOf(m),
		PackageDownloadLocation: noAssertion, PackageLicenseConcluded: noAssertion,
		PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion,
		PackageSourceInfo:         "built package from: " + p.Source + " " + p.SourceVersion,
		PackageExternalReferences: []*v2_3.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: packageURL(m, p)}},
		PackageComment:            fmt.Sprintf("%s here, %d bytes", show.Count(p.Files, "file"), p.Bytes)}
}

// manifestSummary says in a line what the manifest knows beside packages.
func manifestSummary(m *manifest.Manifest) string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("architecture", m.Architecture)
	add("release", m.Release)
	add("kernel", strings.Join(m.Kernels, " "))
	for _, p := range m.Patches {
		add("patch", strings.TrimSuffix(p.Name+": "+p.Summary, ": "))
	}
	return strings.Join(parts, "; ")
}
