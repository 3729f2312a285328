package device

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Who is what tells a device from others, whatever runs on it and whichever name leads to it. What is not known is empty.
type Who struct {
	Machine string   `json:"machine_id,omitzero"` // of the system (machine-id(5)); a waiting initramfs has none
	Board   string   `json:"board,omitzero"`      // the board's serial number, or the firmware's UUID of the machine
	MACs    []string `json:"macs,omitzero"`       // that its network cards were made with, sorted
}

// whoScript prints "key value" lines. The serial number of a board with a device tree is a file with a NUL at its end; the UUID of a
// PC is in its firmware's tables (Documentation/ABI/testing/sysfs-firmware-dmi-tables). An address counts where it is the
// card's own: addr_assign_type 0 (Documentation/ABI/testing/sysfs-class-net), on Ethernet, type 1.
const whoScript = `root=${groundhog_root:-}
[ ! -r "$root/etc/machine-id" ] || echo "machine $(head -c 64 "$root/etc/machine-id" | head -n 1)"
for f in /proc/device-tree/serial-number /sys/class/dmi/id/product_uuid; do
	[ ! -r "$root$f" ] || echo "board $(head -c 64 "$root$f" | tr '\000' '\n' | head -n 1)"
done
for d in "$root"/sys/class/net/*; do
	[ "$(cat "$d/type" 2>/dev/null) $(cat "$d/addr_assign_type" 2>/dev/null)" != "1 0" ] || echo "mac $(head -c 64 "$d/address")"
done
echo end ok`

var (
	machineID = regexp.MustCompile(`^[0-9a-f]{32}$`)
	boardID   = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._:-]{3,63}$`)
	macText   = regexp.MustCompile(`^([0-9a-f]{2}:){5}[0-9a-f]{2}$`)
)

// Who asks a device who it is. Nothing is changed there.
func (c *Client) Who(ctx context.Context) (Who, error) {
	out, err := c.Output(ctx, whoScript)
	if err != nil {
		return Who{}, fmt.Errorf("asking the device who it is: %w", err)
	}
	return parseWho(out)
}

func parseWho(text string) (Who, error) {
	var w Who
	whole := false
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSpace(value)
		switch {
		case key == "machine" && machineID.MatchString(value):
			w.Machine = value
		case key == "board" && boardID.MatchString(value) && tellsApart(value) && w.Board == "":
			w.Board = strings.ToLower(value)
		case key == "mac" && macText.MatchString(strings.ToLower(value)) && tellsApart(value) && len(w.MACs) < 64:
			w.MACs = append(w.MACs, strings.ToLower(value))
		}
		whole = line == "end ok\n" || line == "end ok"
	}
	if !whole {
		return Who{}, fmt.Errorf("asking the device who it is: its answer is not complete: %.200q", text)
	}
	slices.Sort(w.MACs)
	w.MACs = slices.Compact(w.MACs)
	return w, nil
}

// unsetSerials are what firmware says that was never told: all boards of a maker then say the same.
var unsetSerials = []string{"03000200-0400-0500-0006-000700080009", "default", "system", "not", "to be", "none", "123456789"}

// tellsApart is false for what tells no device from another.
func tellsApart(id string) bool {
	id = strings.ToLower(id)
	digits := strings.Map(func(r rune) rune {
		if r == '-' || r == ':' || r == '.' || r == '_' {
			return -1
		}
		return r
	}, id)
	return strings.Trim(digits, digits[:1]) != "" && !slices.ContainsFunc(unsetSerials, func(u string) bool { return strings.HasPrefix(id, u) })
}

// ErrOther is that another device answers than was meant.
var ErrOther = errors.New("another device answers")

// Differs is nil where a device may be the one that was met before; otherwise it says what shows that it is not.
// The board's number decides, where both are known. Cards can be changed one at a time, but not all at once. A machine-id is the
// system's, and another one after each flash.
func (w Who) Differs(before Who) error {
	if w.Board != "" && before.Board != "" {
		if w.Board != before.Board {
			return fmt.Errorf("%w: its board is %s, not %s", ErrOther, w.Board, before.Board)
		}
		return nil
	}
	common := slices.ContainsFunc(w.MACs, func(m string) bool { return slices.Contains(before.MACs, m) })
	if len(w.MACs) > 0 && len(before.MACs) > 0 && !common {
		return fmt.Errorf("%w: its network cards are %s, not %s", ErrOther, strings.Join(w.MACs, " "), strings.Join(before.MACs, " "))
	}
	return nil
}
