// Package man writes man pages of a program's verbs, from their help.
package man

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Pages writes a page for a verb, and for each one below it: a page names those that it is above, and all of them are there. The header has
// no title yet.
func Pages(verb *cobra.Command, dir string, header doc.GenManHeader) error {
	if !verb.IsAvailableCommand() && verb.HasParent() {
		return nil
	}
	for _, below := range verb.Commands() {
		if err := Pages(below, dir, header); err != nil {
			return err
		}
	}
	verb.DisableAutoGenTag = true
	verb.InitDefaultHelpFlag()
	verb.InitDefaultVersionFlag()
	header.Title = strings.ReplaceAll(verb.CommandPath(), " ", "-")
	var page bytes.Buffer
	if err := doc.GenMan(verb, &header, &page); err != nil {
		return fmt.Errorf("making %s(%s): %w", header.Title, header.Section, err)
	}
	return os.WriteFile(filepath.Join(dir, header.Title+"."+header.Section), page.Bytes(), 0o644)
}
