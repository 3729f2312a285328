package patches

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/patches/scripts"
)

// The lines of Debian's dropbear script that ours stand beside.
const (
	startLine = "run_dropbear &"
	pidLine   = "echo $! >/run/dropbear.pid"
)

func typeFile(m fs.FileMode) uint32 { return initrd.TypeFile | uint32(m.Perm()) }

// install puts our own scripts into the archive: those with the given base
// names, or all others if but is set.
func (t *Target) install(names ...string) error {
	for _, f := range scripts.Files() {
		base := f.Path[strings.LastIndex(f.Path, "/")+1:]
		if !slices.Contains(names, base) {
			continue
		}
		if err := t.put(f.Path, typeFile(f.Mode), f.Data); err != nil {
			return err
		}
	}
	return nil
}

// networkInterface names the interface, and waits for it before dropbear
// starts.
func networkInterface(t *Target) (string, error) {
	if err := t.edit("conf/initramfs.conf", assign("DEVICE", t.opts.Device)); err != nil {
		return "", err
	}
	t.noteOverrides()
	if err := t.install("functions", "network", "mac"); err != nil {
		return "", err
	}
	if err := t.edit(premount, lineBefore(startLine, scripts.NetworkLine)); err != nil {
		return "", err
	}
	if err := t.set("GROUNDHOG_DEVICE", t.opts.Device); err != nil {
		return "", err
	}
	if err := t.set("GROUNDHOG_INTERFACE_TIMEOUT", seconds(t.opts.InterfaceTimeout)); err != nil {
		return "", err
	}
	if !t.hasNetworkDriver() {
		t.note("no network driver in the archive: unless the kernel has it built in, name one with --module")
	}
	return fmt.Sprintf("%s, waited for up to %v", t.opts.Device, t.opts.InterfaceTimeout), nil
}

// noteOverrides tells of a file that sets another DEVICE later than
// conf/initramfs.conf.
func (t *Target) noteOverrides() {
	if v := debian.Read(t.Image).Settings.Vars["DEVICE"]; v.Value != t.opts.Device {
		t.note("%s says DEVICE=%q, which /init reads later; our scripts use %s", v.From, v.Value, t.opts.Device)
	}
}

// hasNetworkDriver reports whether any module below drivers/net is there.
func (t *Target) hasNetworkDriver() bool {
	for name, e := range t.Image.Tree() {
		if e.IsFile() && strings.Contains(name, "/kernel/drivers/net/") {
			return true
		}
	}
	return false
}

// macAddress tells the network script which address to give the interface.
func macAddress(t *Target) (string, error) {
	if err := t.set("GROUNDHOG_MAC", t.opts.MAC); err != nil {
		return "", err
	}
	switch t.opts.MAC {
	case "keep":
		return "left as the interface has it", nil
	case "cmdline":
		return "from smsc95xx.macaddr= on the kernel command line", nil
	}
	return t.opts.MAC, nil
}

// wait keeps the boot waiting, and says on the console for what.
func wait(t *Target) (string, error) {
	if err := t.install("functions", "hold", "original", "wait", "reach", "watchdog", "work", "groundhog-continue"); err != nil {
		return "", err
	}
	if err := t.edit(premount, lineAfter(pidLine, scripts.HoldLine)); err != nil {
		return "", err
	}
	if err := t.set("GROUNDHOG_WAIT", seconds(t.opts.Wait)); err != nil {
		return "", err
	}
	// The clock of a board without a battery is set to at least this: the
	// time of /init as the archive has it.
	epoch := "0"
	if e := t.Image.Lookup("conf/arch.conf"); e != nil {
		epoch = fmt.Sprint(e.Mtime)
	}
	if err := t.set("GROUNDHOG_EPOCH", epoch); err != nil {
		return "", err
	}
	if t.opts.Wait == 0 {
		return "none: the boot goes on at once", nil
	}
	return fmt.Sprintf("%v for somebody to come, then a normal boot", t.opts.Wait), nil
}

// withShell gives root the login shell.
func withShell(passwd []byte, shell string) ([]byte, error) {
	lines := strings.SplitAfter(string(passwd), "\n")
	n := 0
	for i, l := range lines {
		f := strings.Split(strings.TrimSuffix(l, "\n"), ":")
		if len(f) != 7 || f[0] != "root" {
			continue
		}
		n++
		f[6] = shell
		lines[i] = strings.Join(f, ":") + "\n"
	}
	if n != 1 {
		return nil, fmt.Errorf("%w: the line of root is there %d times", ErrAnchor, n)
	}
	return []byte(strings.Join(lines, "")), nil
}

// State is what a dropbear script is to us.
type State string

// The states that [ScriptState] tells apart.
const (
	Pristine State = "pristine"
	Patched  State = "patched"
	Unknown  State = "unknown"
)

// ScriptState tells whether a scripts/init-premount/dropbear is as Debian
// ships it, as far as our anchors go, or has our lines, or is something else.
func ScriptState(script []byte) State {
	patch := all(lineBefore(startLine, scripts.NetworkLine), lineAfter(pidLine, scripts.HoldLine))
	after, err := patch(script)
	switch {
	case err != nil:
		return Unknown
	case string(after) == string(script):
		return Patched
	case strings.Contains(string(script), scripts.NetworkLine) || strings.Contains(string(script), scripts.HoldLine):
		return Unknown
	}
	return Pristine
}
