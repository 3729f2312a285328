package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"groundhog/cmd/internal/flash/image/sums"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
)

// givenSum is where a checksum is from that the caller gave.
const givenSum = "--sha256"

// checkFile holds a local image against its checksum. One that the caller gave is always held against the file's bytes; of
// one that was found beside it, the kept index may tell the result.
func (i *Image) checkFile(ctx context.Context) error {
	if i.want == "" || i.checksAsItReads() {
		return nil
	}
	if i.kept != nil && i.against != givenSum {
		i.stored = i.kept.Stored
	} else {
		var err error
		if i.stored, err = i.hashFile(ctx); err != nil {
			return err
		}
		if i.kept != nil && i.kept.Stored != i.stored {
			i.kept = nil
		}
	}
	return i.holdsWant(i.stored)
}

// checksAsItReads reports whether the file is held against its checksum in the pass in which its chunks become known, which comes at once: a raw image's
// file has the sum of the image. It is not hashed twice then.
func (i *Image) checksAsItReads() bool {
	return i.want != "" && i.kept == nil && i.watched != nil && i.file != nil && !isPacked(i.file)
}

// butForChecksum is why an image is refused: its checksum, if it has one and that is wrong, before what the damage looks like.
func (i *Image) butForChecksum(ctx context.Context, err error) error {
	if !i.checksAsItReads() {
		return err
	}
	sum, failed := i.hashFile(ctx)
	if failed != nil {
		return err
	}
	return cmp.Or(i.holdsWant(sum), err)
}

// holdsWant refuses a file with another sum than it is to have.
func (i *Image) holdsWant(sum string) error {
	switch {
	case i.want == "" || sum == i.want:
		return nil
	case i.against == "":
		return fmt.Errorf("%w: %s, not %s", ErrChecksum, sum, i.want)
	}
	return fmt.Errorf("%w: %s, not %s as in %s", ErrChecksum, sum, i.want, i.against)
}

// Checked is what the image as it is stored is held against, "--sha256" or a file's name; "" for nothing.
func (i *Image) Checked() string { return i.against }

// checksumBeside looks for an image's checksum where sha256sum(1) is told to put it: NAME.sha256, or SHA256SUMS in its directory.
// image is its file's; from is the file that has the sum; sum and from are "" where there is none.
func checksumBeside(name string, image fs.FileInfo) (sum, from string, err error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", "", err
	}
	real, near := linkTarget(abs)
	own, shared := name+".sha256", filepath.Join(filepath.Dir(name), "SHA256SUMS")
	for _, f := range []string{own, shared} {
		b, err := readSums(f, image)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", "", fmt.Errorf("reading checksums: %w", err)
		}
		all, err := sums.Parse(b)
		if err == nil && f == shared && slices.ContainsFunc(all, func(s sums.Sum) bool { return s.Name == "" }) {
			err = errors.New("it has a sum of nothing that it names")
		}
		if err == nil {
			if sum, err = sums.Of(all, abs); sum == "" && err == nil && (near || f == own) {
				sum, err = sums.Of(all, real)
			}
			if sum == "" && err == nil && f == own {
				if sum = sums.Alone(all); sum == "" {
					err = fmt.Errorf("no SHA-256 of %s in it", filepath.Base(name))
				}
			}
		}
		if err != nil {
			return "", "", fmt.Errorf("reading checksums: %s: %w", f, err)
		}
		if sum != "" {
			return sum, f, nil
		}
	}
	return "", "", nil
}

// linkTarget is the name of the file that a link leads to, the latest build's say, by which its sum may be listed; near says that it is in the link's directory,
// where no other file has that name.
func linkTarget(abs string) (real string, near bool) {
	real, err := filepath.EvalSymlinks(abs)
	if err != nil { // a descriptor's link in /proc leads to no name
		return abs, true
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	return real, err == nil && filepath.Dir(real) == dir
}

// maxSums bounds a file of checksums, in bytes.
const maxSums = 4 << 20

// readSums reads a file that anybody may have put there: a pipe by that name is not waited for, and a sum counts where nobody could have
// written it who could not have written the image as well.
func readSums(name string, image fs.FileInfo) ([]byte, error) {
	f, err := sidefile.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := sidefile.BelieveBeside(f, image); err != nil {
		return nil, hint.To(err, "--sha256 says what the image must have")
	}
	return sidefile.ReadAll(f, maxSums)
}
