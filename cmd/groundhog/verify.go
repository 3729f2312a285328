package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/input"
	"groundhog/initrd/show"
	"groundhog/manifest"
	"groundhog/manifest/sign"
)

// verifyOptions is the command line of `groundhog verify`.
type verifyOptions struct {
	manifest       string
	signature      string
	allowedSigners string
	signer         string
	json           bool
	maxSize        int64
	in             *input.Files

	found struct{ manifest, signature bool } // beside what they are of: nobody named them
}

func verifyCmd() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify INITRD",
		Short: "Hold an archive against its manifest",
		Long: `Hold an archive against its manifest: the file as a whole, each segment, each
entry, and what the manifest draws from them. Each deviation is a line.

With --allowed-signers the manifest's signature (its name with .sig) is checked
first: an SSH signature for the namespace groundhog, by a key in that file
(ssh-keygen(1), "ALLOWED SIGNERS").`,
		Example: `  groundhog verify reflash.img
  groundhog verify initrd.img --manifest build/initrd.json --allowed-signers signers

Exit codes: 0 as the manifest says; 1 not so, or not signed so; 2 trouble.`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.in = inputsOf(cmd)
			return verify(cmd.OutOrStdout(), talkOf(cmd), args[0], &o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.manifest, "manifest", "", "the manifest (default: INITRD's name with .manifest.json)")
	f.StringVar(&o.allowedSigners, "allowed-signers", "", "check the signature by the keys in `FILE`")
	f.StringVar(&o.signer, "signer", "", "who must have signed, as the allowed signers `NAME` them (default: any of them)")
	f.StringVar(&o.signature, "signature", "", "the signature's `FILE` (default: the manifest's name with .sig)")
	f.BoolVar(&o.json, "json", false, "report as JSON")
	addMaxSize(f, &o.maxSize, "input")
	return cmd
}

// verifyJSON is the report for machines.
type verifyJSON struct {
	Schema     int                  `json:"schema"`
	OK         bool                 `json:"ok"`
	SHA256     string               `json:"sha256"` // of the archive
	Entries    int                  `json:"entries"`
	Signer     string               `json:"signer,omitzero"`
	Deviations []manifest.Deviation `json:"deviations"`
}

// verify is the verb.
func verify(stdout io.Writer, talk talkLevel, path string, o *verifyOptions) error {
	if o.signature != "" && o.allowedSigners == "" {
		return hint.To(errors.New("--signature alone is checked by nobody's key"), "name the keys with --allowed-signers")
	}
	switch {
	case o.manifest != "":
	case input.IsPipe(path):
		return hint.To(errors.New("nothing lies beside standard input"), "name the manifest with --manifest")
	default:
		o.manifest, o.found.manifest = path+".manifest.json", true
	}
	switch {
	case o.signature != "" || o.allowedSigners == "":
	case input.IsPipe(o.manifest):
		return hint.To(errors.New("nothing lies beside standard input"), "name the signature with --signature")
	default:
		o.signature, o.found.signature = o.manifest+".sig", true
	}
	report := verifyJSON{Schema: outputSchema, Deviations: []manifest.Deviation{}}
	text, err := o.inputsOf(o.found.manifest).ManifestText(o.manifest, o.maxSize)
	if err != nil {
		if info, missing := os.Stat(path); o.found.manifest && missing != nil {
			return fmt.Errorf("reading the archive: %w", missing)
		} else if o.found.manifest && info.IsDir() {
			return fmt.Errorf("reading the archive: %s: a directory", path)
		} else if o.found.manifest && isManifest(path) {
			return hint.To(fmt.Errorf("reading the archive: %s: a manifest", path), "groundhog verify INITRD --manifest "+device.Quote(path)+" holds an archive against it")
		}
		return readingManifest(o.manifest, err)
	}
	if o.allowedSigners != "" || o.signer != "" {
		who, bad, err := o.checkSignature(text)
		if err != nil {
			return err
		}
		if bad != nil {
			report.Deviations = append(report.Deviations,
				manifest.Deviation{Where: "signature", What: strings.TrimPrefix(bad.Error(), "signature: ")})
			return report.printVerdict(stdout, talk, o)
		}
		report.Signer = who.Principals
	}
	m, err := input.DecodeManifest(o.manifest, bytes.NewReader(text), o.maxSize)
	if err != nil {
		return err
	}
	in, err := o.in.SkimArchive(path, o.maxSize, input.ForManifest)
	if err != nil {
		return err
	}
	if m.Archive != nil && m.Archive.SHA256 != in.File.SHA256 && m.Archive.Name != "" && input.ManifestName(path) != "" && m.Archive.Name != input.ManifestName(path) {
		return hint.To(fmt.Errorf("%s is the manifest of %s, not of %s", o.manifest, show.Printable(m.Archive.Name), path),
			"groundhog diff compares them all the same")
	}
	found, err := manifest.Verify(in.Image, m)
	if err != nil {
		return fmt.Errorf("verifying %s: %w", path, err)
	}
	report.Deviations = append(report.Deviations, found...)
	report.SHA256, report.Entries = in.File.SHA256, len(m.Entries)
	return report.printVerdict(stdout, talk, o)
}

// readingManifest is the error of a manifest that could not be read.
func readingManifest(path string, err error) error {
	err = fmt.Errorf("reading the manifest: %w", err)
	if of, beside := strings.CutSuffix(path, ".manifest.json"); beside && errors.Is(err, fs.ErrNotExist) {
		err = hint.To(err, fmt.Sprintf("patch writes one beside its archive; groundhog manifest %s -o %s makes one of any", device.Quote(of), device.Quote(path)))
	}
	return err
}

// checkSignature says who signed the manifest, or what is bad about the
// signature; err is that there was nothing to check.
func (o *verifyOptions) checkSignature(text []byte) (who *sign.Signer, bad, err error) {
	if o.allowedSigners == "" {
		return nil, nil, hint.To(fmt.Errorf("nobody is known to be %q", o.signer), "name the keys with --allowed-signers")
	}
	sig, _, err := o.inputsOf(o.found.signature).Small("signature", o.signature)
	if err != nil {
		err = fmt.Errorf("reading the signature: %w", err)
		if errors.Is(err, fs.ErrNotExist) {
			err = hint.To(err, fmt.Sprintf("groundhog manifest %s --sign-key KEY makes it", device.Quote(o.manifest)))
		}
		return nil, nil, err
	}
	allowed, err := o.in.AllowedSigners(o.allowedSigners)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the allowed signers: %w", err)
	}
	who, bad = sign.Check(text, sig, allowed, o.signer)
	return who, bad, nil
}

func (o *verifyOptions) inputsOf(found bool) *input.Files {
	if found {
		return input.Beside()
	}
	return o.in
}

func (r *verifyJSON) printVerdict(w io.Writer, talk talkLevel, o *verifyOptions) error {
	r.OK = len(r.Deviations) == 0
	switch {
	case o.json:
		if err := printJSON(w, r); err != nil {
			return err
		}
	case r.OK && talk != talkQuiet:
		line := fmt.Sprintf("ok: %d entries, sha256 %s", r.Entries, r.SHA256)
		if r.Signer != "" {
			line += ", signed by " + show.Printable(r.Signer)
		}
		fmt.Fprintln(w, line)
	default:
		for _, d := range r.Deviations {
			fmt.Fprintln(w, d)
		}
	}
	if !r.OK {
		return exitCode{code: exitNo}
	}
	return nil
}
