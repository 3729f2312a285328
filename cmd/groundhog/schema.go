package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/hint"
	"groundhog/manifest"
)

// outputSchema is the version of each kind of JSON that a verb prints, the manifest and what diff makes of two aside:
// those are package manifest's. It is in the output as "schema", and changes when a reader of the old form would
// misunderstand the new one.
const outputSchema = 2

// schemaFiles has a JSON Schema (draft 2020-12) for each kind of output, made from the types that are printed
// (go test ./cmd/groundhog -run TestSchemas -update).
//
//go:embed schemas
var schemaFiles embed.FS

// schemaKind is one kind of JSON that groundhog prints.
type schemaKind struct {
	name string
	of   string // what prints it
}

// schemaKinds is all of them.
var schemaKinds = []schemaKind{
	{"manifest", "groundhog manifest, and beside a patched archive"},
	{"diff", "groundhog diff --json"},
	{"patch", "groundhog patch --json"},
	{"hooks", "groundhog hooks --json"},
	{"inspect", "groundhog inspect --json"},
	{"list", "groundhog inspect --list --json"},
	{"verify", "groundhog verify --json"},
	{"index", "groundhog index --json"},
	{"event", "a line of push, restore, flash and reflash with --json"},
	{"version", "groundhog version --json"},
}

func schemaCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "schema [NAME]",
		Short: "Print the JSON Schema of what --json prints",
		Long: `Print the JSON Schema (draft 2020-12) of one kind of output, or list the kinds. Every output
carries the version of its form in the field "schema"; each event of push, restore, flash
and reflash is a line of its own.`,
		Example: `  groundhog schema
  groundhog schema patch
  groundhog schema --json | jq keys

Exit codes: 0 printed; 2 there is none of that name.`,
		Args: cli.Args,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			for _, k := range schemaKinds {
				if len(args) == 0 {
					names = append(names, cobra.CompletionWithDesc(k.name, k.of))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1:
				return printSchema(cmd.OutOrStdout(), args[0])
			case asJSON:
				return printSchemas(cmd.OutOrStdout())
			}
			for _, k := range schemaKinds {
				fmt.Fprintf(cmd.OutOrStdout(), "%-9s %s\n", k.name, k.of)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all of them, as an object with a field each")
	return cmd
}

func printSchema(w io.Writer, name string) error {
	text, err := schemaText(name)
	if err != nil {
		return hint.To(err, "groundhog schema lists them")
	}
	_, err = w.Write(text)
	return err
}

func printSchemas(w io.Writer) error {
	all := map[string]json.RawMessage{}
	for _, k := range schemaKinds {
		text, err := schemaText(k.name)
		if err != nil {
			return err
		}
		all[k.name] = text
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(all)
}

func schemaText(name string) ([]byte, error) {
	if !slices.ContainsFunc(schemaKinds, func(k schemaKind) bool { return k.name == name }) {
		return nil, fmt.Errorf("%q: no output of that name", name)
	}
	if name == "manifest" {
		return []byte(manifest.SchemaJSON), nil
	}
	return schemaFiles.ReadFile("schemas/" + name + ".json")
}
