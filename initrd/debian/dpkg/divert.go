package dpkg

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"groundhog/initrd/debian"
)

// Diversion is where dpkg puts a path's file instead (dpkg-divert(1)), and the package whose own file stays at the path:
// "" where the administrator diverted it.
type Diversion struct{ To, By string }

// Diverted finds the first of the paths that is diverted, whatever of /bin and /lib is merged into /usr, and returns it as it is on record.
func Diverted(root fs.FS, names ...string) (string, Diversion, bool, error) {
	all, err := readDiversions(root)
	if err != nil {
		return "", Diversion{}, false, err
	}
	recorded := map[string]string{}
	for at := range all {
		recorded[debian.MergedUsr(at)] = at
	}
	for _, name := range names {
		if at, ok := recorded[debian.MergedUsr(name)]; ok {
			return at, all[at], true, nil
		}
	}
	return "", Diversion{}, false, nil
}

// readDiversions reads dpkg-divert(1)'s records by path: three lines each, what, where
// to, and for which package (":" for none).
func readDiversions(root fs.FS) (map[string]Diversion, error) {
	text, err := readRecordFile(root, "diversions")
	if errors.Is(err, fs.ErrNotExist) || err == nil && text == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines)%3 != 0 {
		return nil, fmt.Errorf("%s/diversions: %d lines, not three to each diversion", dpkgDir, len(lines))
	}
	all := map[string]Diversion{}
	for d := range slices.Chunk(lines, 3) {
		if !strings.HasPrefix(d[0], "/") || !strings.HasPrefix(d[1], "/") {
			return nil, fmt.Errorf("%s/diversions: %.60q: not an absolute path", dpkgDir, d[0])
		}
		all[d[0][1:]] = Diversion{To: d[1][1:], By: strings.TrimPrefix(d[2], ":")}
	}
	return all, nil
}
