package cli

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"groundhog/initrd/show"
)

// Args takes as many arguments as the verb's usage line names, and says in its words which are missing or too many.
func Args(cmd *cobra.Command, args []string) error {
	var needed []string
	named, most := strings.Fields(cmd.Use)[1:], 0
	for _, name := range named {
		if most++; strings.Contains(name, "...") {
			most = math.MaxInt32
		}
		if !strings.HasPrefix(name, "[") {
			needed = append(needed, strings.TrimSuffix(name, "..."))
		}
	}
	switch {
	case len(args) == 0 && len(needed) == 1:
		return fmt.Errorf("%s is missing", needed[0])
	case len(args) < len(needed):
		return fmt.Errorf("%s are needed, and there %s", strings.Join(needed, " and "), strings.Replace(givenArgs(args), "is ", "is only ", 1))
	case slices.Contains(args, ""): // a script's variable that was never set
		return fmt.Errorf("an argument is empty: %s %s, and there %s", cmd.Name(), strings.Join(named, " "), givenArgs(args))
	case len(args) > most && most == 0:
		return fmt.Errorf("%s takes no arguments, and there %s", cmd.Name(), givenArgs(args))
	case len(args) > most:
		return fmt.Errorf("%s takes one %s, and there %s", cmd.Name(), strings.Trim(named[0], "[]"), givenArgs(args))
	}
	return nil
}

// givenArgs says which arguments there are: `are "a", "b"`.
func givenArgs(args []string) string {
	const most = 5 // a shell's pattern may have made very many
	quoted := make([]string, min(len(args), most))
	for i := range quoted {
		quoted[i] = fmt.Sprintf("%q", args[i])
	}
	switch text := strings.Join(quoted, ", "); {
	case len(args) == 0:
		return "are none"
	case len(args) == 1:
		return "is " + text
	case len(args) > most:
		return fmt.Sprintf("are %s and %s more", text, show.Count(len(args)-most, "argument"))
	default:
		return "are " + text
	}
}

// exclusionNote is where cobra notes at a flag which others may not stand beside it.
const exclusionNote = "cobra_annotation_mutually_exclusive"

// Exclusive says which flags of a command line exclude one another. Cobra asks that, too, but names all that there could be.
func Exclusive(cmd *cobra.Command) error {
	err := cmd.ValidateFlagGroups()
	if err == nil {
		return nil
	}
	set := map[string][]string{} // by group
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for _, group := range f.Annotations[exclusionNote] {
			if set[group] = append(set[group], "--"+f.Name); len(set[group]) == 2 {
				slices.Sort(set[group]) // not as the line or the help has them
				err = errors.New(strings.Join(set[group], " and ") + " exclude one another")
			}
		}
	})
	return err
}
