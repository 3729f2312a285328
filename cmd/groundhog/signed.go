package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/input"
	"groundhog/cmd/internal/reflash"
	"groundhog/initrd/show"
)

// signedOptions say which archives may go to devices.
type signedOptions struct {
	allowedSigners string
	signer         string
	maxSize        int64 // that the archive may unpack to
}

func (o *signedOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.allowedSigners, "allowed-signers", "", "only an archive whose manifest (its name with .manifest.json) is signed (.sig) by a key in `FILE`")
	f.StringVar(&o.signer, "signer", "", "who must have signed, as the allowed signers `NAME` them (default: any of them)")
	addMaxSize(f, &o.maxSize, "an archive")
}

// readPushed reads the archive that a command line names and holds it to its signature. One that comes through a pipe is
// kept: it is sent more than once, and flash asks for it later.
func (o *signedOptions) readPushed(in *input.Files, path string) (*reflash.Archive, error) {
	settle := func(read error) error { return read }
	if input.IsPipe(path) {
		if o.allowedSigners != "" {
			return nil, errors.New("--allowed-signers looks for the manifest beside ARCHIVE: beside a pipe there is none")
		}
		f, err := in.Open(path)
		if err != nil {
			return nil, reflash.Unread(err)
		}
		defer f.Close()
		if path, settle, err = reflash.KeepArchive(f, o.maxSize); err != nil {
			return nil, reflash.Unread(input.SizeHint(err))
		}
	}
	a, err := readPushed(path, o.maxSize)
	if err := settle(err); err != nil {
		return nil, reflash.Unread(err)
	}
	return a, o.checkSigned(a)
}

// checkSigned holds an archive that was read to its signed manifest. What is sent to a device must have the SHA-256 that is
// compared here, or the device does not take it: so what was signed, and nothing that the file has become since, goes there.
func (o *signedOptions) checkSigned(a *reflash.Archive) error {
	if o.allowedSigners == "" && o.signer == "" {
		return nil
	}
	v := verifyOptions{in: input.Named(), manifest: a.Path + ".manifest.json", allowedSigners: o.allowedSigners, signer: o.signer}
	v.signature = v.manifest + ".sig"
	v.found.manifest, v.found.signature = true, true
	text, err := input.Beside().ManifestText(v.manifest, o.maxSize)
	if err != nil {
		return reflash.Unread(readingManifest(v.manifest, err))
	}
	_, bad, err := v.checkSignature(text)
	if err != nil {
		return reflash.Unread(err)
	}
	if bad == nil {
		m, err := input.DecodeManifest(v.manifest, bytes.NewReader(text), o.maxSize)
		if err != nil {
			return reflash.Unread(err)
		}
		switch {
		case m.Archive == nil:
			bad = errors.New("the signed manifest is of no archive")
		case m.Archive.SHA256 != a.SHA256:
			bad = fmt.Errorf("the signed manifest is of SHA-256 %s, the archive has %s", show.Printable(m.Archive.SHA256), a.SHA256)
		}
	}
	if bad != nil {
		return exitCode{exitNo, hint.To(fmt.Errorf("%s: %w; nothing was sent", a.Path, bad), "groundhog verify says more")}
	}
	return nil
}
