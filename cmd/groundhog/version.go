package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/manifest"
)

// versionJSON is what `groundhog version --json` prints.
type versionJSON struct {
	Schema   int    `json:"schema"`
	Version  string `json:"version"`
	Commit   string `json:"commit,omitzero"` // of the source, as git has it; empty where it was built without git
	Modified bool   `json:"modified"`        // the source differed from that commit
	Time     string `json:"time,omitzero"`   // of the commit, RFC 3339
	Go       string `json:"go"`              // the compiler
	Platform string `json:"platform"`        // GOOS/GOARCH
	Protocol int    `json:"protocol"`        // that flash speaks with the device's writer
	Manifest int    `json:"manifest"`        // the newest schema of manifests that are written
}

func versionCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which groundhog this is",
		Long: `Say which groundhog this is: its version, the commit that it was built from, the Go that
compiled it, the protocol that flash speaks with the device, and the newest schema of
the manifests that it writes.`,
		Example: `  groundhog version
  groundhog version --json`,
		Args: cli.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := thisVersion()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), v)
			}
			return v.printVersion(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "report as JSON")
	return cmd
}

func thisVersion() versionJSON {
	v := versionJSON{Schema: outputSchema, Version: Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Protocol: wire.Version, Manifest: manifest.Schema}
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v versionJSON) printVersion(w io.Writer) error {
	commit := "unknown"
	if v.Commit != "" {
		commit = v.Commit + " of " + v.Time
	}
	if v.Modified {
		commit += ", modified"
	}
	_, err := fmt.Fprintf(w, "groundhog %s\ncommit    %s\ngo        %s, %s\nprotocol  %d\nmanifest  schema %d\n",
		v.Version, commit, v.Go, v.Platform, v.Protocol, v.Manifest)
	return err
}
