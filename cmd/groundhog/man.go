//go:build man

package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/release/man"
)

// The man pages are made when a release is: who runs groundhog needs no generator of them.
//
//	SOURCE_DATE_EPOCH=1700000000 go run -tags man ./cmd/groundhog man DIR

//go:embed man/groundhog.7
var ideasPage []byte

func init() { moreVerbs = append(moreVerbs, manCmd) }

func manCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages",
		Hidden: true,
		Args:   cli.Args,
		RunE:   func(cmd *cobra.Command, args []string) error { return writePages(cmd.Root(), args[0]) },
	}
}

// writePages writes a page for each verb, and the one of the ideas, with the date of SOURCE_DATE_EPOCH.
func writePages(root *cobra.Command, dir string) error {
	date, err := sourceDate()
	if err != nil {
		return err
	}
	when, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: pages carry a date: %w", err)
	}
	if err := man.Pages(root, dir, doc.GenManHeader{Section: "1", Date: &when, Source: "groundhog " + Version, Manual: "groundhog"}); err != nil {
		return err
	}
	ideas := bytes.ReplaceAll(ideasPage, []byte("@DATE@"), []byte(when.Format("January 2006")))
	ideas = bytes.ReplaceAll(ideas, []byte("@VERSION@"), []byte(Version))
	return os.WriteFile(filepath.Join(dir, "groundhog.7"), ideas, 0o644)
}
