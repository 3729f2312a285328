// Package plain flashes a device whose archive has no writer, by the classic pipeline:
// curl | decoder | dd, run by the shell of the waiting initramfs.
//
// What the classic way leaves out is here: each stage's exit status counts, so does the
// number of bytes, and the whole is read back from the medium and hashed before the first mebibyte, which
// has the partition table, is written. It always sends everything.
package plain

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/image/sniff"
	"groundhog/cmd/internal/flash/image/sums"
)

//go:embed flash.sh
var flashScript string

// Writing is shell for whoever writes to a disk without groundhog-writer: mark and unmark keep the files that say so.
//
//go:embed writing.sh
var Writing string

// Shell runs a program of POSIX sh on the device as root, as [device.Client.Script] does.
type Shell interface {
	Script(ctx context.Context, program string, stdin io.Reader, args ...string) (device.Result, error)
}

// Job is what to write and where.
type Job struct {
	Disk        string // its path on the device, below /dev
	URL         string // where the device gets the image from, http or https
	Compression string // of what is there, as [sniff.Compression] names it; "none"
	Size        int64  // bytes of the decoded image
	SHA256      string // of the decoded image, in hex
	Who         string // for whoever finds the device taken
	Session     string // another one for each run: the device's files then name "curl SESSION"

	// What is not as in the image, where a partition table has to be fitted to the disk and what its end has from before has
	// to go: Head replaces the beginning of the image, Tail lies at TailAt. Multiples of 512 bytes; nil: nothing.
	Head, Tail []byte
	TailAt     int64
}

// MaxTail bounds what is put behind the image, in bytes.
const MaxTail = 4 << 20

// Result is what the device said.
type Result struct {
	Started  bool   // something was written
	Verified bool   // the whole image was read back from the medium
	Bytes    int64  // that came out of the decoder
	SHA256   string // of the medium
}

// Errors of a run.
var (
	ErrRefused = errors.New("the device refused") // nothing was written
	ErrFailed  = errors.New("the image is not on the disk")
	ErrLost    = errors.New("the connection was lost while the device wrote")
)

var (
	diskPath = regexp.MustCompile(`^/dev/[A-Za-z0-9_./-]+$`)
	safeWord = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)
	webURL   = regexp.MustCompile(`^https?://[\x21-\x7e]+$`)
)

func (j *Job) checkJob() error {
	switch {
	case !diskPath.MatchString(j.Disk) || path.Clean(j.Disk) != j.Disk:
		return fmt.Errorf("%q is no disk", j.Disk)
	case !webURL.MatchString(j.URL):
		return fmt.Errorf("%q is no http or https URL", j.URL)
	case j.Compression != "none" && !sniff.IsCompression(j.Compression):
		return fmt.Errorf("no decoder for %q", j.Compression)
	case !safeWord.MatchString(j.Session):
		return fmt.Errorf("%q is no session", j.Session)
	case j.Size <= 0 || !sums.Is(j.SHA256):
		return errors.New("size and sha256 of the decoded image must be known")
	case len(j.Head)%512 != 0 || len(j.Head) > 1<<20 || len(j.Tail)%512 != 0 || len(j.Tail) > MaxTail:
		return errors.New("a partition table is whole sectors, at most 1 MiB, and what lies behind the image at most 4")
	case j.Tail != nil && (j.TailAt < j.Size || j.TailAt%512 != 0):
		return errors.New("the table's backup lies behind the image, on a sector")
	}
	return nil
}

// Run writes the image and reads it back. The error wraps ErrRefused, ErrFailed or ErrLost
// where the device is concerned; Result says how far it came.
func Run(ctx context.Context, sh Shell, j Job) (Result, error) {
	if err := j.checkJob(); err != nil {
		return Result{}, fmt.Errorf("flashing by curl: %w", err)
	}
	if err := putFile(ctx, sh, "head", j.Head); err != nil {
		return Result{}, err
	}
	if err := putFile(ctx, sh, "tail", j.Tail); err != nil {
		return Result{}, err
	}
	r, err := sh.Script(ctx, Writing+flashScript, nil, j.Disk, j.URL, j.Compression,
		strconv.FormatInt(j.Size, 10), j.SHA256, j.Who, strconv.FormatInt(j.TailAt, 10), j.Session)
	if err != nil { // the device may be at work; whether it is, it alone knows
		return Result{}, fmt.Errorf("flashing by curl: %w: %w", ErrLost, err)
	}
	result := parseResult(r.Stdout)
	switch {
	case r.Exit == 0 && result.Verified && result.SHA256 == j.SHA256 && result.Bytes == j.Size:
		return result, nil
	case r.Exit == 1 && !result.Started:
		return result, fmt.Errorf("flashing by curl: %w: %w", ErrRefused, r.Err("checking"))
	}
	result.Verified = false
	if r.Exit == 0 {
		return result, fmt.Errorf("flashing by curl: %w: the device's account does not fit the image", ErrFailed)
	}
	return result, fmt.Errorf("flashing by curl: %w: %w", ErrFailed, r.Err("the pipeline"))
}

// putFile leaves a file for the program; nil removes it.
func putFile(ctx context.Context, sh Shell, name string, b []byte) error {
	script := `rm -f "${groundhog_root:=}/run/groundhog/plain.in/$1"`
	if b != nil {
		script = `d=${groundhog_root:=}/run/groundhog/plain.in; mkdir -p "$d" && cat >"$d/$1"`
	}
	r, err := sh.Script(ctx, script, bytes.NewReader(b), name)
	if err == nil {
		err = r.Err("sending the partition table")
	}
	return err
}

// parseResult reads the program's lines; what it does not know is left out.
func parseResult(b []byte) (r Result) {
	for line := range strings.Lines(string(b)) {
		word, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "state":
			r.Started = true
			r.Verified = value == "verified"
		case "bytes":
			r.Bytes, _ = strconv.ParseInt(value, 10, 64)
		case "sha256":
			r.SHA256 = value
		}
	}
	return r
}
