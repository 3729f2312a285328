package dpkg

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

type diversion struct{ to, by string }

// readDiversions reads dpkg-divert(1)'s records: three lines each, what, where
// to, and for which package (":" for none).
func (db *Records) readDiversions(root fs.FS) error {
	text, err := readRecordFile(root, "diversions")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if text == "" {
		return nil
	}
	if len(lines)%3 != 0 {
		return fmt.Errorf("%s/diversions: %d lines, not three to each diversion", dpkgDir, len(lines))
	}
	for d := range slices.Chunk(lines, 3) {
		if !strings.HasPrefix(d[0], "/") || !strings.HasPrefix(d[1], "/") {
			return fmt.Errorf("%s/diversions: %.60q: not an absolute path", dpkgDir, d[0])
		}
		db.diverted[d[0][1:]] = diversion{to: d[1][1:], by: d[2]}
	}
	return nil
}
