package patches

import (
	"io/fs"
	"strings"

	"groundhog/initrd"
	"groundhog/patches/scripts"
)

// The lines of Debian's dropbear script that ours stand beside.
const (
	startLine = "run_dropbear &"
	pidLine   = "echo $! >/run/dropbear.pid"
)

func typeFile(m fs.FileMode) uint32 { return initrd.TypeFile | uint32(m.Perm()) }

// install puts a patch's scripts into the archive.
func (t *Archive) install(patch string) error {
	for _, f := range scripts.Of(patch) {
		if err := t.put(f.Path, typeFile(f.Mode), f.Data); err != nil {
			return err
		}
	}
	return nil
}

// pristinePremount takes our two lines out of dropbear's boot script.
func pristinePremount(text []byte) ([]byte, error) {
	var b strings.Builder
	for l := range strings.Lines(string(text)) {
		if line := strings.TrimSuffix(l, "\n"); line != scripts.NetworkLine && line != scripts.HoldLine {
			b.WriteString(l)
		}
	}
	return []byte(b.String()), nil
}

// PremountState is what a dropbear script is to us.
type PremountState string

// The states that [ScriptState] tells apart.
const (
	Pristine PremountState = "pristine"
	Patched  PremountState = "patched"
	Unknown  PremountState = "unknown"
)

// ScriptState tells whether a scripts/init-premount/dropbear is as Debian
// ships it, as far as our anchors go, or has our lines, or is something else.
func ScriptState(script []byte) PremountState {
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
