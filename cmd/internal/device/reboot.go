package device

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

var bootID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// State is what runs on a device.
type State struct {
	BootID    string // random(4): another one at each boot
	Initramfs bool   // the waiting initramfs, not a system
	Build     string // the archive that waits, or that this system came up through; "" for none
}

// stateScript prints three lines. Of the waiting initramfs only /scripts tells:
// /run/groundhog moves to the system that comes up. What has systemd's socket is a system in any case.
const stateScript = `cat /proc/sys/kernel/random/boot_id
if [ -d /scripts/groundhog ] && [ ! -e /run/systemd/private ]; then echo initramfs; else echo system; fi
if [ -r /run/groundhog/build ]; then head -n 1 /run/groundhog/build; else echo; fi`

// State asks what runs.
func (c *Client) State(ctx context.Context) (State, error) {
	out, err := c.Output(ctx, stateScript)
	if err != nil {
		return State{}, fmt.Errorf("asking what runs: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 3 || !bootID.MatchString(lines[0]) || !buildID.MatchString(lines[2]) {
		return State{}, fmt.Errorf("asking what runs: the device's answer cannot be understood: %.200q", out)
	}
	return State{lines[0], lines[1] == "initramfs", lines[2]}, nil
}

// Reboot starts a reboot and returns what ran until then. That it happened is known only when a
// State with another BootID has been seen (WaitInitramfs, WaitSystem).
//
// In the initramfs a plain reboot(8) does nothing, there being no init to ask: reboot -f calls the
// kernel. A sync may hang on a broken disk, so sysrq b (Documentation/admin-guide/sysrq.rst) comes
// a minute later whatever became of the rest. All that runs in the background: the answer is
// read before the connection breaks. While a disk is neither old nor new, because somebody else flashes it by now, the error wraps ErrWriting; it is ErrUnheard where the answer was lost. A
// flash that begins later is refused, as when the boot goes on.
func (c *Client) Reboot(ctx context.Context) (State, error) { return c.RebootWith(ctx, "") }

// RebootWith is Reboot of a running system with an argument for its firmware (reboot(2), LINUX_REBOOT_CMD_RESTART2).
func (c *Client) RebootWith(ctx context.Context, argument string) (State, error) {
	before, err := c.State(ctx)
	if err != nil {
		return State{}, err
	}
	how := `systemctl --no-block reboot || reboot`
	if argument != "" {
		a := Quote(argument)
		how = `systemctl --no-block --reboot-argument=` + a + ` reboot || reboot ` + a
	}
	if before.Initramfs {
		how = rebootInitramfs
	}
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := c.Run(limit, how, nil)
	switch {
	case ctx.Err() != nil:
		return before, ctx.Err()
	case err != nil && before.Initramfs:
		return before, ErrUnheard
	case err != nil, r.Exit > 128:
		return before, nil // the connection, or the command, was ended: it may well be on its way, and the wait will tell
	}
	if before.Initramfs && r.Exit == exitWriting {
		return before, fmt.Errorf("%w: %.200s", ErrWriting, oneLine(strings.TrimSpace(string(r.Stderr))))
	}
	return before, r.Err("rebooting")
}

// ErrUnheard is that the connection to a waiting initramfs was lost before it said that it reboots: it may, or was never told to.
var ErrUnheard = errors.New("the connection was lost before the device said that it reboots")

// ErrWriting is that a device does not reboot, since one of its disks is neither old nor new.
var ErrWriting = errors.New("it does not reboot while a disk is neither the old nor the new one")

// exitWriting is how rebootInitramfs says so. What it prints is a line "flash SESSION DISK" for each such disk.
const exitWriting = 75

const rebootInitramfs = `d=/run/groundhog
{ true >"$d/leaving"; } 2>/dev/null
if [ -e "$d/writing" ]; then rm -f "$d/leaving"; cat "$d/writing" >&2; exit 75; fi
(sleep 1; { sync; reboot -f; } & sleep 60; echo b >/proc/sysrq-trigger; rm -f "$d/leaving") </dev/null >/dev/null 2>&1 &`
