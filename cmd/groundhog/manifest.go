package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/output"
	"groundhog/manifest"
	"groundhog/manifest/sbom"
	"groundhog/manifest/sign"
)

// manifestOptions is the command line of `groundhog manifest`.
type manifestOptions struct {
	root    input.Layers
	output  string
	format  string
	signKey string
	foreign bool
	schema  bool
	maxSize int64
	in      *input.Files
}

func manifestCmd() *cobra.Command {
	var o manifestOptions
	cmd := &cobra.Command{
		Use:   "manifest SOURCE",
		Short: "Say what is in an initramfs or a root tree, and where it came from",
		Long: `Say what is in SOURCE: an initramfs, patched or not; a root tree in a directory;
a .deb file or a directory of them. Every entry with its mode, owner, size and
SHA-256, every segment, keys by their fingerprints; of the files of a directory, on
Linux, also their capabilities (capabilities(7)), as getcap -n prints them.

With the root tree that an initramfs was made from (--root, --deb) each file is
attributed to the Debian package that owns a file with that content, by dpkg's
records; what was made on the way is named after its maker.

The same SOURCE gives the same bytes, on any machine. SOURCE_DATE_EPOCH, if set,
is noted as the time.`,
		Example: `  groundhog manifest initrd.img-6.1.0-56-amd64 --root ./rootfs -o initrd.json
  groundhog manifest reflash.img.manifest.json --format spdx > reflash.spdx.json
  groundhog manifest ./rootfs -o rootfs.json --sign-key ~/.ssh/id_ed25519
  groundhog manifest reflash.img.manifest.json --sign-key ~/.ssh/id_ed25519

Exit codes: 0 done; 2 refused or failed, nothing written.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if !o.schema {
				return cli.Args(cmd, args)
			}
			if len(args) > 0 {
				return errors.New("--schema takes no SOURCE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.schema {
				_, err := io.WriteString(cmd.OutOrStdout(), manifest.SchemaJSON)
				return err
			}
			o.in = inputsOf(cmd)
			return makeManifest(cmd.OutOrStdout(), args[0], &o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.output, "output", "o", stdioName, "write to `FILE`, - for standard output")
	f.Var(o.root.Flag(false), "root", "attribute files by the root tree in `DIR` (repeatable, later ones on top)")
	f.Var(o.root.Flag(true), "deb", "the same from a .deb `FILE-or-DIR` of them (repeatable, later ones on top)")
	f.StringVar(&o.format, "format", "json", "json (groundhog's own), spdx (2.3) or cyclonedx (1.6)")
	f.Bool("json", false, "the same as --format json, which it is anyway")
	cmd.MarkFlagsMutuallyExclusive("format", "json")
	f.StringVar(&o.signKey, "sign-key", "", "sign with the SSH private key in `FILE`: writes the output's name with .sig; without --output SOURCE is a manifest, which is signed as it is")
	f.BoolVar(&o.foreign, "foreign-root", false, "attribute by a root tree, too, that has few of the archive's files")
	f.BoolVar(&o.schema, "schema", false, "print the JSON Schema of the manifest, and nothing else")
	addMaxSize(f, &o.maxSize, "input")
	return cmd
}

// manifestFormats are the ways to write a manifest.
var manifestFormats = map[string]func(io.Writer, *manifest.Manifest) error{
	"json":      manifest.Encode,
	"spdx":      sbom.SPDX,
	"cyclonedx": sbom.CycloneDX,
}

// makeManifest is the verb.
func makeManifest(stdout io.Writer, path string, o *manifestOptions) error {
	encode := manifestFormats[o.format]
	if err := output.Check(o.outputNames(path), append(o.root.Packages(), path, o.signKey)); err != nil {
		return err
	}
	var key ssh.Signer
	if o.signKey != "" {
		if o.output == stdioName && (o.format != "json" || len(o.root) > 0 || !isManifest(path)) {
			return hint.To(errors.New("a signature needs a file to stand beside"), "name one with --output, or a manifest as SOURCE")
		}
		var err error
		if key, err = readSigner(o.in, o.signKey); err != nil {
			return err
		}
	}
	src, err := o.in.Source(path, o.root, o.maxSize)
	if err != nil {
		return err
	}
	m := src.Manifest
	if err := src.Foreign(o.root); err != nil && !o.foreign {
		return hint.To(fmt.Errorf("reading %s: %w", path, err), "--root DIR names the tree that it was made in; --foreign-root takes this one all the same")
	}
	if key != nil && o.output == stdioName {
		return signManifest(o.in, path, o.maxSize, key)
	}
	if err := o.completeManifest(m); err != nil {
		return err
	}
	if o.output == stdioName {
		return encode(stdout, m)
	}
	return writeManifest(o.output, m, encode, key)
}

// outputNames is the files that are written.
func (o *manifestOptions) outputNames(path string) []string {
	switch {
	case o.signKey == "":
		return []string{o.output}
	case o.output == stdioName: // the manifest that is signed is there
		return []string{path + ".sig"}
	}
	return []string{o.output, o.output + ".sig"}
}

// completeManifest adds what SOURCE itself does not tell.
func (o *manifestOptions) completeManifest(m *manifest.Manifest) error {
	if m.Tool == "" {
		m.Tool = "groundhog " + Version
	}
	when, err := sourceDate()
	if err != nil {
		return err
	}
	if when != "" {
		m.Created = when
	}
	inputs, err := o.root.Inputs()
	if err != nil {
		return fmt.Errorf("reading packages: %w", err)
	}
	m.Inputs = append(m.Inputs, inputs...)
	return nil
}

// writeManifest writes the file and its signature, or neither.
func writeManifest(name string, m *manifest.Manifest, encode func(io.Writer, *manifest.Manifest) error, key ssh.Signer) error {
	var out output.Files
	defer out.Discard()
	var text bytes.Buffer
	err := out.Write(name, 0o644, func(w io.Writer) error {
		if key != nil { // signed are the bytes that were written, not what a file of that name holds by then
			w = io.MultiWriter(w, &text)
		}
		return encode(w, m)
	})
	if err != nil {
		return err
	}
	if key != nil {
		if err := writeSignature(&out, name, text.Bytes(), key); err != nil {
			return err
		}
	}
	return out.Commit()
}

// writeSignature writes the signature of a file's text beside it.
func writeSignature(out *output.Files, name string, text []byte, key ssh.Signer) error {
	sig, err := sign.Make(text, key)
	if err != nil {
		return err
	}
	return out.Write(name+".sig", 0o644, func(w io.Writer) error { _, err := w.Write(sig); return err })
}

// signManifest writes the signature of a manifest that there is, beside it: of its bytes as they are, with all that only
// whoever made it knew.
func signManifest(in *input.Files, path string, maxSize int64, key ssh.Signer) error {
	text, err := in.ManifestText(path, maxSize)
	if err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	if _, err := input.DecodeManifest(path, bytes.NewReader(text), maxSize); err != nil {
		return err
	}
	var out output.Files
	defer out.Discard()
	if err := writeSignature(&out, path, text, key); err != nil {
		return err
	}
	return out.Commit()
}

// isManifest reports whether path is a file of JSON, as [input.Files.Source] tells. A pipe is left alone: what was read is gone.
func isManifest(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 512)
	n, _ := io.ReadFull(f, head)
	return bytes.HasPrefix(bytes.TrimLeft(head[:n], " \t\r\n"), []byte("{"))
}

// readSigner reads a private key that needs no passphrase.
func readSigner(in *input.Files, path string) (ssh.Signer, error) {
	b, _, err := in.Small("key", path)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(b)
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		return nil, hint.To(fmt.Errorf("reading the signing key %s: it needs a passphrase", path),
			"sign with ssh-keygen -Y sign -n groundhog -f "+filepath.Base(path)+" MANIFEST")

	}
	if err != nil {
		return nil, fmt.Errorf("reading the signing key %s: not an SSH private key", path)
	}
	return key, nil
}

// sourceDate is SOURCE_DATE_EPOCH (reproducible-builds.org) as RFC 3339, or "".
func sourceDate() (string, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return "", nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 253402300799 { // the year 9999
		return "", fmt.Errorf("SOURCE_DATE_EPOCH=%q: not seconds since 1970", text)
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339), nil
}
