package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groupKey is the annotation of a flag that names its group in --help.
const groupKey = "groundhog-group"

// FlagGroup is flags that answer one question.
type FlagGroup struct {
	title string
	flags []string
}

// Online is the flags of the verbs that reach devices; each verb has some of them.
var Online = []FlagGroup{
	{"Which device, and how it is reached", []string{"hosts", "parallel", "identity", "host-key", "known-hosts", "ssh-config",
		"connect-timeout", "login-timeout", "command-timeout"}},
	{"What it boots, and how long that may take", []string{"push-via", "keep", "reboot", "initramfs", "expect-host-key", "ready",
		"reboot-timeout", "power-cycle", "boot"}},
	{"Which archive or image, and which disk", []string{"max-size", "sha256", "target", "grow", "via", "url", "patience", "force"}},
	{"What to check, or only to check", []string{"dry-run", "check", "plan", "allowed-signers", "signer"}},
	{"What to say", []string{"json", "report", "log"}},
}

// Group puts a verb's flags into groups, in whose order --help shows them.
func Group(cmd *cobra.Command, groups []FlagGroup) *cobra.Command {
	for _, g := range groups {
		for _, name := range g.flags {
			if cmd.Flags().Lookup(name) != nil {
				cmd.Flags().SetAnnotation(name, groupKey, []string{g.title}) // fails only of an unknown flag
			}
		}
	}
	return cmd
}

// GroupedUsages is the flags of a verb by group; those of none come last, as "Flags".
func GroupedUsages(cmd *cobra.Command) string {
	const rest = "Flags"
	byTitle := map[string]*pflag.FlagSet{}
	var titles []string
	set := func(title string) *pflag.FlagSet {
		if byTitle[title] == nil {
			byTitle[title] = pflag.NewFlagSet(title, pflag.ContinueOnError)
			byTitle[title].SortFlags = false
			titles = append(titles, title)
		}
		return byTitle[title]
	}
	for _, g := range Online {
		titles = append(titles, g.title)
		byTitle[g.title] = pflag.NewFlagSet(g.title, pflag.ContinueOnError)
		byTitle[g.title].SortFlags = false
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		title := rest
		if t := f.Annotations[groupKey]; len(t) == 1 {
			title = t[0]
		}
		set(title).AddFlag(f)
	})
	var b strings.Builder
	for _, title := range slices.Compact(titles) {
		if usages := byTitle[title].FlagUsages(); usages != "" {
			b.WriteString("\n" + title + ":\n" + strings.TrimRight(usages, "\n") + "\n")
		}
	}
	return b.String()
}

// UsageTemplate is cobra's, with the flags in groups.
const UsageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} VERB [flags]{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Verbs:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{groupedUsages .}}{{if .HasAvailableInheritedFlags}}
Of every verb:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableSubCommands}}
{{.CommandPath}} VERB --help says more of a verb.
{{end}}`
