package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"groundhog/initrd/debian/dropbear"
	"groundhog/manifest"
)

// outputNames is the archive, its manifest and its known_hosts; where no archive is needed only what was named. Nothing lies beside standard output: what is not named
// then is empty, and not written.
func (o *patchOptions) outputNames() []string {
	names := []string{o.output, o.manifest, o.knownHosts}
	if o.unneeded {
		names[0] = ""
		return names
	}
	for i, suffix := range []string{"", ".manifest.json", ".known_hosts"} {
		if names[i] == "" && o.output != stdioName {
			names[i] = o.output + suffix
		}
	}
	return names
}

// printsToStdout reports whether one of the outputs is standard output; the report then goes to standard error.
func (o *patchOptions) printsToStdout() bool { return slices.Contains(o.outputNames(), stdioName) }

// inputFiles is the files that the options name.
func (o *patchOptions) inputFiles() []string {
	files := slices.Concat(o.authorizedKeys, []string{o.ca})
	for _, arg := range o.hostKeys {
		if arg != "keep" && arg != "new" {
			files = append(files, arg)
		}
	}
	return append(files, o.root.Packages()...)
}

// gatherInputs reads the files that the options name.
func (o *patchOptions) gatherInputs() ([]manifest.Input, error) {
	if !o.noWriter {
		o.Writer = writerFor
	}
	inputs, err := o.root.Inputs()
	if err != nil {
		return nil, err
	}
	for _, name := range o.authorizedKeys {
		b, in, err := o.in.Small("authorized_keys", name)
		if err != nil {
			return nil, fmt.Errorf("reading authorized keys: %w", err)
		}
		if err := holdsNoKey(b); err != nil && len(o.authorizedKeys) > 1 { // of a single one more is said
			return nil, exitCode{exitNo, fmt.Errorf("%s: %w", name, err)}
		}
		if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
			b = append(b, '\n')
		}
		o.AuthorizedKeys = append(o.AuthorizedKeys, b...)
		if o.AuthorizedKeys == nil {
			o.AuthorizedKeys = []byte{} // an empty file was given: not the same as none
		}
		inputs = append(inputs, in)
	}
	if o.ca != "" {
		b, in, err := o.in.Small("ca", o.ca)
		if err != nil {
			return nil, fmt.Errorf("reading certificates: %w", err)
		}
		if !bytes.Contains(b, []byte("-----BEGIN CERTIFICATE-----")) {
			return nil, fmt.Errorf("%s: no PEM certificate in it", o.ca)
		}
		o.CA = b
		inputs = append(inputs, in)
	}
	return inputs, o.gatherHostKeys()
}

// holdsNoKey says why a file that lets somebody in lets in nobody, whatever the release: of several files the others would hide it.
func holdsNoKey(text []byte) error {
	keys, _, err := dropbear.ParseAuthorizedKeys(text)
	if err == nil && len(keys) == 0 {
		err = errors.New("no key in it")
	}
	return err
}

// makeHostKey makes host keys where there are none; tests, whose processes would spend most of their time on it, have small ones.
var makeHostKey = dropbear.GenerateHostKey

// gatherHostKeys reads --host-key. The manifest names the keys by their
// fingerprints; a hash of a private key's file is of no use to anybody.
func (o *patchOptions) gatherHostKeys() error {
	o.MakeHostKey = makeHostKey
	for _, arg := range o.hostKeys {
		switch {
		case arg == "keep":
			continue
		case arg == "new":
			o.NewHostKeys = true
			continue
		}
		b, _, err := o.in.Small("host_key", arg)
		if err != nil {
			return fmt.Errorf("reading a host key: %w", err)
		}
		k, err := dropbear.ParsePrivateKey(b)
		if err != nil {
			return fmt.Errorf("reading host key %s: %w", arg, err)
		}
		if slices.ContainsFunc(o.HostKeys, func(h *dropbear.HostKey) bool { return h.Type() == k.Type() }) {
			return fmt.Errorf("%s: a second %s host key", arg, k.Type())
		}
		o.HostKeys = append(o.HostKeys, k)
	}
	switch {
	case o.NewHostKeys && len(o.HostKeys) > 0:
		return errors.New("host keys: either new ones or given ones, not both")
	case o.NewHostKeys && slices.Contains(o.hostKeys, "keep"):
		return errors.New("host keys: either new ones or those that there are, not both")
	}
	return nil
}
