package input

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/output"
	"groundhog/cmd/internal/sidefile"
	"groundhog/manifest"
)

// maxSmall bounds a file that a person wrote, in bytes.
const maxSmall = 16 << 20

// Small reads a file that a person wrote: keys, certificates. What it returns besides is how a manifest names the file.
func (in *Files) Small(role, name string) ([]byte, manifest.Input, error) {
	f, err := in.Open(name)
	if err != nil {
		return nil, manifest.Input{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(b) > maxSmall {
		err = fmt.Errorf("%s: more than %d bytes", name, maxSmall)
	}
	if err != nil {
		return nil, manifest.Input{}, err
	}
	sum := sha256.Sum256(b)
	return b, manifest.Input{Role: role, Name: manifest.EscapePath(Name(name)), SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b))}, nil
}

// AllowedSigners reads the file that says whose signatures count: nobody else may have been able to write it.
func (in *Files) AllowedSigners(path string) ([]byte, error) {
	if path == output.Stdio && !in.plain {
		b, _, err := in.Small("allowed signers", path)
		return b, err
	}
	b, err := sidefile.Read(path, sidefile.Group, maxSmall)
	if errors.Is(err, sidefile.ErrStranger) || errors.Is(err, sidefile.ErrKind) {
		err = hint.To(err, "a copy of your own is believed")
	}
	return b, err
}

// hashedInput is how a manifest names a file that goes into an archive.
func hashedInput(role, name string) (manifest.Input, error) {
	f, err := os.Open(name)
	if err != nil {
		return manifest.Input{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return manifest.Input{Role: role, Name: manifest.EscapePath(Name(name)), SHA256: hex.EncodeToString(h.Sum(nil)), Size: n}, err
}
