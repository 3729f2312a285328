// Package push puts a reflash initramfs onto a running device, and takes it off again.
//
// First come the checks: one look at the device, and every finding at once (Survey, Check).
// Then the transaction: at no instant is the device without an initramfs that boots, whatever is cut when
// (push.sh says how). What it leaves in /var/lib/groundhog puts the original back after one boot.
package push

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
)

var (
	//go:embed common.sh
	commonText string
	//go:embed push.sh
	pushText string
	//go:embed restore.sh
	restoreText string
)

// pushProgram carries the text of restore, which it leaves on the device.
var pushProgram = "groundhog_restore=" + device.Quote(commonText+restoreText) + "\n" + commonText + pushText

// Shell runs programs of POSIX sh on the device as root, as [device.Client] does.
type Shell interface {
	Script(ctx context.Context, program string, stdin io.Reader, args ...string) (device.Result, error)
}

// Job is what goes where.
type Job struct {
	Boot   Boot
	Size   int64  // bytes of the archive, with the device's own segment
	SHA256 string // of the same, in hex
	Keep   bool   // more than one boot
}

// Boot is what decides which initramfs the device boots.
type Boot struct {
	File   string // the initramfs, "/boot/initrd.img-6.1.0-56-amd64"
	Config string // config.txt, where the Raspberry Pi's firmware reads the name from; else ""
}

// name is the archive's name beside File, where Config names it: as long as File's, so that
// config.txt changes in one place and keeps its length.
func (b Boot) name() string {
	if b.Config == "" {
		return ""
	}
	return "groundhog_" + strings.TrimPrefix(path.Base(b.File), "initrd.img")
}

var (
	bootFile = regexp.MustCompile(`^/boot/(firmware/)?initrd\.img-[A-Za-z0-9._+~-]+$`)
	hexSum   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// check refuses what is no path of an initramfs that a push may replace.
func (b Boot) check() error {
	firmware := strings.HasPrefix(b.File, "/boot/firmware/")
	switch {
	case !bootFile.MatchString(b.File) || strings.Contains(b.File, ".."):
		return fmt.Errorf("%q is no initramfs that is known to boot", b.File)
	case firmware != (b.Config == "/boot/firmware/config.txt") || !firmware && b.Config != "":
		return fmt.Errorf("%q does not decide over %s", b.Config, b.File)
	}
	return nil
}

func (j Job) check() error {
	if j.Size <= 0 || !hexSum.MatchString(j.SHA256) {
		return errors.New("size and sha256 of the archive must be known")
	}
	return j.Boot.check()
}

// Errors of a transaction.
var (
	ErrRefused = errors.New("refused, nothing was changed")
	ErrTrouble = errors.New("not done")
	// ErrLost is for a connection that broke: the device boots the old initramfs or the new one.
	ErrLost = errors.New("the connection was lost, and which initramfs the device has is not known")
)

// Run sends the archive and has the device boot it next. The error wraps ErrRefused, ErrTrouble or
// ErrLost; in each case the device has an initramfs that boots.
func (j Job) Run(ctx context.Context, sh Shell, archive io.Reader) error {
	if err := j.check(); err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	keep := "once"
	if j.Keep {
		keep = "keep"
	}
	r, err := sh.Script(ctx, pushProgram, archive, j.Boot.File, strconv.FormatInt(j.Size, 10), j.SHA256, keep, j.Boot.Config, j.Boot.name())
	if err != nil {
		return fmt.Errorf("pushing: %w: %w", ErrLost, err)
	}
	if r.Exit == 0 && !bytes.Contains(r.Stdout, []byte("\ndone ")) {
		return fmt.Errorf("pushing: %w: the device does not say that it is done", ErrTrouble)
	}
	return outcome("pushing", r)
}

// Restore puts the original initramfs back at once; what it says comes back. Where nothing was pushed, the
// error is ErrRefused.
func Restore(ctx context.Context, sh Shell) (string, error) {
	r, err := sh.Script(ctx, commonText+restoreText, nil, "force")
	if err != nil {
		return "", fmt.Errorf("restoring: %w: %w", ErrLost, err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(r.Stderr)), "groundhog: "), outcome("restoring", r)
}

// outcome is a script's exit status in words: 1 is a refusal, anything else trouble.
func outcome(doing string, r device.Result) error {
	switch r.Exit {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s: %w: %w", doing, ErrRefused, r.Err("on the device"))
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrTrouble, r.Err("on the device"))
}
