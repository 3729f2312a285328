package loader

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/disk"
	"groundhog/initrd/show"
)

//go:embed disk.sh
var diskText string

//go:embed survey.sh
var surveyText string

// Facts is what a device says of itself: values by key, in the order they came. What each key means is in survey.sh.
type Facts map[string][]string

// Get is a key's first value, "" for none.
func (f Facts) Get(key string) string {
	if v := f[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// maxNumber is more than any size in bytes or KiB, count or time that a device has, and can be calculated with.
const maxNumber = 1 << 50

// Number is a key's value, -1 where there is none that can be.
func (f Facts) Number(key string) int64 {
	n, err := strconv.ParseInt(f.Get(key), 10, 64)
	if err != nil || n < 0 || n > maxNumber {
		return -1
	}
	return n
}

// maxFacts bounds the lines of an answer: a grub.cfg is among them, of which each kernel has some thirty.
const maxFacts = 10000

// Shell runs programs of POSIX sh on the device as root, as [device.Client] does.
type Shell interface {
	Script(ctx context.Context, program string, stdin io.Reader, args ...string) (device.Result, error)
}

// Survey looks at a device, in one round trip, without changing anything.
func Survey(ctx context.Context, sh Shell) (Facts, error) {
	var ways []string
	for _, w := range allWays {
		ways = append(ways, string(w.way))
	}
	r, err := sh.Script(ctx, diskText+waysText+surveyText, nil, ways...)
	if err == nil {
		err = r.Err("looking at the device")
	}
	if err != nil {
		return nil, err
	}
	return ParseFacts(string(r.Stdout))
}

// ParseFacts reads a device's answer.
func ParseFacts(text string) (Facts, error) {
	f := Facts{}
	lines := 0
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if lines++; !ok || lines > maxFacts {
			return nil, fmt.Errorf("looking at the device: its answer cannot be understood: %.80q", line)
		}
		f[key] = append(f[key], strings.TrimSpace(show.ASCII(value)))
	}
	if f.Get("end") != "ok" {
		return nil, errors.New("looking at the device: its answer is not complete")
	}
	return f, nil
}

// Disk is the one that carries /; false where there is none, more than one, or what the device says of it cannot be.
func (f Facts) Disk() (disk.Identity, bool) {
	if len(f["disk"]) != 1 {
		return disk.Identity{}, false
	}
	d, err := disk.Described(func(name string) string {
		if name == "path" {
			return f.Get("disk")
		}
		return f.Get("disk_" + name)
	})
	return d, err == nil
}
