package main

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/output"
	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
	"groundhog/manifest"
	"groundhog/patches/sysroot"
)

// checkEncoding refuses a compression that cannot be written before any work
// is done.
func (o *patchOptions) checkEncoding(img *initrd.Image) error {
	if o.compression != "keep" {
		return initrd.CheckLevel(initrd.Compression(o.compression), o.level)
	}
	for _, s := range img.Segments {
		if s.Compression == initrd.None || o.appended && s != mainOf(img) {
			continue
		}
		if err := initrd.CheckLevel(s.Compression, 0); err != nil {
			return hint.To(err, "--compression zstd, say, writes another one")
		}
		if err := initrd.CheckLevel(s.Compression, o.level); err != nil {
			return err
		}
	}
	return nil
}

// mainOf is the segment that /init is in; nil where there is none.
func mainOf(img *initrd.Image) *initrd.Segment {
	if e := img.Lookup("init"); e != nil {
		return e.Segment()
	}
	return nil
}

// writeAll writes archive, manifest and known_hosts, or none of them.
func (o *patchOptions) writeAll(stdout io.Writer, img *initrd.Image, tree *sysroot.Tree, inputs []manifest.Input, result *patchResult) error {
	out := output.Files{Stdout: stdout}
	defer out.Discard()
	if !o.unneeded {
		if err := out.Write(o.output, 0o600, func(w io.Writer) error { return o.encodeArchive(w, img) }); err != nil {
			return err
		}
	}
	m, err := manifest.Of(img)
	if err != nil {
		return err
	}
	m.Tool = "groundhog " + Version
	if o.output != stdioName {
		m.Archive.Name = input.ManifestName(o.output)
	}
	m.Inputs = inputs
	m.Release = result.report.Release
	if note := attributePatched(&input.Source{Manifest: m, Image: img}, tree, o.root); note != "" {
		result.report.Notes = append(result.report.Notes, note)
	}
	result.after, result.sha256 = m.Archive.Size, m.Archive.SHA256
	result.wrote = o.outputNames()
	if name := result.wrote[1]; name != "" {
		if err := out.Write(name, 0o644, func(w io.Writer) error { return manifest.Encode(w, m) }); err != nil {
			return err
		}
	}
	var keys []ssh.PublicKey
	for _, k := range result.report.HostKeys {
		keys = append(keys, k.Public())
	}
	known, err := dropbear.KnownHosts(knownAs(result.report.Port), keys...)
	if err != nil {
		return err
	}
	if name := result.wrote[2]; name != "" {
		err = out.Write(name, 0o644, func(w io.Writer) error { _, err := w.Write(known); return err })
		if err != nil {
			return err
		}
	}
	return out.Commit()
}

// knownAs is the hosts in known_hosts: any, which OpenSSH takes for any port, and any
// with the port that dropbear listens on where it is another than 22.
func knownAs(port uint16) []string {
	if port == 22 {
		return nil
	}
	return []string{"*", fmt.Sprintf("[*]:%d", port)}
}

// attributePatched adds the packages to the manifest of a patched archive. What stands in their way costs the manifest its
// packages, not the user the archive; it says what that is, "" where nothing does.
func attributePatched(s *input.Source, tree *sysroot.Tree, root input.Layers) string {
	if tree == nil {
		return ""
	}
	err := s.Attribute(tree)
	if err == nil {
		err = s.Foreign(root)
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, input.ErrForeign):
		return err.Error() + ": the manifest says of the others that they are from no package"
	}
	return fmt.Sprintf("the manifest names no packages, so that no gate can judge by them: %v", err)
}

// encodeArchive writes the archive in the way that was asked for.
func (o *patchOptions) encodeArchive(w io.Writer, img *initrd.Image) error {
	main := mainOf(img)
	if o.appended {
		c, level := main.Compression, o.level
		if o.compression != "keep" {
			c = initrd.Compression(o.compression)
		}
		_, err := img.WriteAppended(w, c, level)
		return err
	}
	for _, s := range img.Segments {
		if !s.Edited() && (s != main || o.compression == "keep") {
			continue
		}
		c := s.Compression
		if o.compression != "keep" && (s == main || initrd.CheckLevel(c, 0) != nil) { // or c cannot be written
			c = initrd.Compression(o.compression)
		}
		level := o.level
		if c == initrd.None {
			level = 0
		}
		if err := s.Encode(c, level); err != nil {
			return err
		}
	}
	_, err := img.WriteTo(w)
	return err
}
