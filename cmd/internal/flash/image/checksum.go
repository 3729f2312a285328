package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// checkFile holds a local image against its checksum.
func (i *Image) checkFile(ctx context.Context) error {
	if i.want == "" {
		return nil
	}
	if i.kept != nil {
		i.stored = i.kept.Stored
	} else {
		h := sha256.New()
		if _, err := io.Copy(h, interrupted{ctx, i.file}); err != nil {
			return err
		}
		if _, err := i.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		i.stored = hex.EncodeToString(h.Sum(nil))
	}
	if i.stored != i.want {
		return fmt.Errorf("%w: %s, not %s", ErrChecksum, i.stored, i.want)
	}
	return nil
}

func hexSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// beside looks for an image's checksum where sha256sum(1) is told to put it: NAME.sha256, or
// SHA256SUMS in its directory; "" where there is none.
func beside(name string) (string, error) {
	dir, base := filepath.Split(name)
	for _, f := range []string{name + ".sha256", dir + "SHA256SUMS"} {
		b, err := readSmall(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("reading checksums: %w", err)
		}
		own := f != dir+"SHA256SUMS"
		found := ""
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			switch {
			case len(fields) == 0, !hexSum(fields[0]):
				continue
			case len(fields) == 1 && own, len(fields) == 2 && strings.TrimPrefix(strings.TrimPrefix(fields[1], "*"), "./") == base:
				found = strings.ToLower(fields[0])
			}
		}
		if found != "" {
			return found, nil
		}
		if own {
			return "", fmt.Errorf("%s: no SHA-256 of %s in it", f, base)
		}
	}
	return "", nil
}

// maxSums bounds a file of checksums, in bytes.
const maxSums = 4 << 20

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSums+1))
	if err == nil && len(b) > maxSums {
		err = fmt.Errorf("%s: more than %d bytes", name, maxSums)
	}
	return b, err
}
