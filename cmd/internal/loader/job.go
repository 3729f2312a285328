package loader

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/image/sums"
)

var (
	//go:embed common.sh
	commonText string
	//go:embed push.sh
	pushText string
	//go:embed restore.sh
	restoreText string
)

// waysText is the shell of all ways that write to the device: what each does in a survey, a push and a restore.
var waysText = func() (text string) {
	for _, w := range allWays {
		text += w.shell
	}
	return text
}()

// pushProgram carries the text of restore, which it leaves on the device.
var (
	restoreProgram = commonText + waysText + restoreText
	pushProgram    = "groundhog_restore=" + device.Quote(restoreProgram) + "\n" + commonText + waysText + pushText
)

// Job is what goes where.
type Job struct {
	Boot   Boot
	Size   int64  // bytes of the archive, with the device's own segment
	SHA256 string // of the same, in hex
	Keep   bool   // more than one boot
	Writer []byte // of Kexec: groundhog-writer for the device
}

func (j Job) checkJob() error {
	if j.Size <= 0 || !sums.Is(j.SHA256) {
		return errors.New("size and sha256 of the archive must be known")
	}
	if j.Keep && (j.Boot.Way == Kexec || j.Boot.Way.Once()) {
		return fmt.Errorf("by %s nothing is kept for more than one boot", j.Boot.Way)
	}
	return j.Boot.Check()
}

// Errors of a transaction.
var (
	ErrRefused = errors.New("refused") // nothing was changed
	ErrTrouble = errors.New("not done")
	// ErrTakenBack is of a push that is refused when it has taken back an earlier one: the device boots its original initramfs.
	ErrTakenBack = errors.New("refused, when the archive of an earlier push was taken back")
	// ErrLost is for a connection that broke: the device boots the old initramfs or the new one.
	ErrLost = errors.New("the connection was lost, and which initramfs the device has is not known")
	// ErrLostKexec is for a connection that broke on the way in by kexec: the disk is as it was, and the device may be starting the
	// archive.
	ErrLostKexec = errors.New("the connection was lost before the device said that it starts the archive")
)

// Run sends the archive and has the device boot it next; by Kexec it does so at once. The error wraps ErrRefused, ErrTrouble or
// ErrLost; in each case the device has an initramfs that boots.
func (j Job) Run(ctx context.Context, sh Shell, archive io.Reader) error {
	if err := j.checkJob(); err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	if j.Boot.Way == Kexec {
		if err := j.kexecArchive(ctx, sh, archive); err != nil {
			return fmt.Errorf("pushing: %w", err)
		}
		return nil
	}
	keep := "once"
	if j.Keep {
		keep = "keep"
	}
	r, err := sh.Script(ctx, pushProgram, archive, string(j.Boot.Way), j.Boot.File, strconv.FormatInt(j.Size, 10), j.SHA256, keep, j.Boot.Config, j.Boot.archiveName(), j.Boot.Kernel)
	if err != nil {
		return fmt.Errorf("pushing: %w: %w", ErrLost, err)
	}
	if r.Exit == 0 && !bytes.Contains(r.Stdout, []byte("\ndone ")) {
		return fmt.Errorf("pushing: %w: the device does not say that it is done", ErrTrouble)
	}
	if r.Exit == exitTakenBack {
		return fmt.Errorf("pushing: %w: %w", ErrTakenBack, reasonOf(r))
	}
	return scriptOutcome("pushing", r)
}

// exitTakenBack is push.sh's exit status for [ErrTakenBack].
const exitTakenBack = 3

// Restore puts the original initramfs back at once; what it says comes back. Where nothing was pushed, the
// error is ErrRefused.
func Restore(ctx context.Context, sh Shell) (string, error) {
	r, err := sh.Script(ctx, restoreProgram, nil, "force")
	if err != nil {
		return "", fmt.Errorf("restoring: %w: %w", ErrLost, err)
	}
	said := ownLines(r.Stderr)
	if r.Exit == 0 && said == "" {
		return "", fmt.Errorf("restoring: %w: the device does not say what it has done", ErrTrouble)
	}
	return said, scriptOutcome("restoring", r)
}

// ownLines is what a script of ours has said itself, in one line: who logs in may be told other things besides.
func ownLines(stderr []byte) string {
	var all []string
	for line := range strings.Lines(string(stderr)) {
		if text, ours := strings.CutPrefix(line, "groundhog: "); ours {
			all = append(all, strings.TrimSpace(text))
		}
	}
	return strings.Join(all, "; ")
}

// reasonOf is why a script failed: its own words, where it said one line; else all that is known of its end.
func reasonOf(r device.Result) error {
	said := strings.TrimSpace(string(r.Stderr))
	if text, ok := strings.CutPrefix(said, "groundhog: "); ok && text != "" && r.Exit < 128 && !strings.Contains(text, "\n") {
		return errors.New(text)
	}
	return r.Err("on the device")
}

// scriptOutcome is a script's exit status in words: 1 is a refusal, anything else trouble.
func scriptOutcome(doing string, r device.Result) error {
	switch r.Exit {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: %w: %w", doing, ErrRefused, reasonOf(r))
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrTrouble, reasonOf(r))
}
