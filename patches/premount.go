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
	nfsLine   = `[ "$BOOT" != nfs ] || configure_networking`
	pidLine   = "echo $! >/run/dropbear.pid"
)

func typeFile(m fs.FileMode) uint32 { return initrd.TypeFile | uint32(m.Perm()) }

// installScripts puts a patch's scripts into the archive.
func (t *Archive) installScripts(patch string) error {
	for _, f := range scripts.Of(patch) {
		if err := t.putOwn(f.Path, typeFile(f.Mode), f.Data); err != nil {
			return err
		}
	}
	return nil
}

// pristinePremount takes our lines out of dropbear's boot script.
var pristinePremount = withoutLines(scripts.NFSLine, scripts.NetworkLine, scripts.OldHoldLine)

// withNetwork has our scripts look after the interface before the network is configured: in the background before
// dropbear starts, and before that for an NFS root.
func withNetwork(text []byte) ([]byte, error) {
	if _, err := onlyLine(strings.SplitAfter(string(text), "\n"), nfsLine); err == nil {
		if text, err = lineBefore(nfsLine, scripts.NFSLine)(text); err != nil {
			return nil, err
		}
	}
	return lineBefore(startLine, scripts.NetworkLine)(text)
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
	before, _ := pristinePremount(script)
	now, err := withNetwork(before)
	if err != nil {
		return Unknown
	}
	// Up to 0.5 there was no line for an NFS root, and up to 0.3 one at the end that held the boot.
	plain, _ := withoutLines(scripts.NFSLine)(now)
	old, err := lineAfter(pidLine, scripts.OldHoldLine)(plain)
	switch {
	case err != nil:
		return Unknown
	case string(script) == string(before):
		return Pristine
	case string(script) == string(now), string(script) == string(plain), string(script) == string(old):
		return Patched
	}
	return Unknown
}
