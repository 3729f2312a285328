// Package cli is what is common to the command lines of all verbs.
package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"groundhog/cmd/internal/hint"
)

// Misused is an error about the command line, with how it should be.
func Misused(cmd *cobra.Command, err error) error {
	see := "see " + cmd.CommandPath() + " --help"
	todo := "usage: " + cmd.UseLine() + "; " + see
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = unparsedValue(invalid)
	}
	if value, ok := errors.AsType[*ValueError](err); ok && value.Near != "" {
		if todo = value.Near; !strings.HasSuffix(todo, "?") {
			todo += ";"
		}
		todo += " " + see
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		if near := nearFlags(cmd, unknown.GetSpecifiedName()); len(near) > 0 {
			todo = didYouMean(near) + " " + see
		}
	}
	return hint.To(err, todo)
}

// maxTypos is how many letters may be wrong in a name that is still recognised.
const maxTypos = 2

// nearFlags is the flags of a verb that may have been meant.
func nearFlags(cmd *cobra.Command, name string) []string {
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	all := nearNames(known, name)
	for i := range all {
		all[i] = "--" + all[i]
	}
	return all
}

// nearNames is those of the known names that may have been meant.
func nearNames(known []string, name string) []string {
	if name == "" {
		return nil
	}
	typos := min(maxTypos, max(1, len(name)/2))                   // with two typos any two letters are any others
	commands := &cobra.Command{SuggestionsMinimumDistance: typos} // cobra compares the names of commands only
	for _, k := range known {
		commands.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	return commands.SuggestionsFor(name)
}

// UnknownVerb is the error of a command line that begins with none of the verbs.
func UnknownVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		if err := Exclusive(root); err != nil {
			return Misused(root, err)
		}
		return nil
	}
	root.SuggestionsMinimumDistance = maxTypos
	todo := "groundhog --help lists them"
	if near := root.SuggestionsFor(args[0]); args[0] != "" && len(near) > 0 {
		todo = didYouMean(near) + " " + todo
	}
	return hint.To(fmt.Errorf("%q is not one of the verbs", args[0]), todo)
}

// notOfVerb is the error of a second word that is asked the help of, and is no part of the verb before it.
func notOfVerb(root, verb *cobra.Command, word string) error {
	todo := verb.CommandPath() + " --help says what there is"
	if other, _, err := root.Find([]string{word}); err == nil && other != root {
		todo = other.CommandPath() + " is a verb of its own, and " + other.CommandPath() + " --help shows it"
	} else if verb.SuggestionsMinimumDistance = maxTypos; word != "" {
		if near := verb.SuggestionsFor(word); len(near) > 0 {
			todo = didYouMean(near) + " " + todo
		}
	}
	return hint.To(fmt.Errorf("%s has no part %q with a help of its own", verb.Name(), word), todo)
}

// HelpOfVerbs has --help behind none of the verbs show nothing, and returns what tells of it: cobra shows the help of the whole program there, and ends well.
func HelpOfVerbs(root *cobra.Command) (unknown func() error) {
	var err error
	show := root.HelpFunc()
	root.SetHelpFunc(func(of *cobra.Command, args []string) {
		if of == root {
			err = UnknownVerb(root, root.Flags().Args())
		}
		if err == nil {
			show(of, args)
		}
	})
	return func() error { return err }
}

// HelpCmd is cobra's help verb, but for an unknown topic, which is an error here.
func HelpCmd(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Show the help of a verb",
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			for _, verb := range root.Commands() {
				if len(args) == 0 && verb.IsAvailableCommand() && strings.HasPrefix(verb.Name(), begun) {
					names = append(names, cobra.CompletionWithDesc(verb.Name(), verb.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			verb, rest, err := root.Find(args)
			if err != nil || verb == root && len(rest) > 0 {
				return UnknownVerb(root, args)
			}
			if len(rest) > 0 {
				return notOfVerb(root, verb, rest[0])
			}
			verb.InitDefaultHelpFlag()
			return verb.Help()
		},
	}
}
