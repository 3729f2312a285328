package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"groundhog/cmd/internal/hint"
)

// ValueError is a flag whose value is none that it takes.
type ValueError struct {
	Flag string
	Text string // what is wrong
	Near string // what may have been meant, or what to do; "" nobody knows
}

func (e *ValueError) Error() string { return "--" + e.Flag + ": " + e.Text }

// didYouMean is a hint at one of them.
func didYouMean(near []string) string {
	if len(near) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(near, " or ") + "?"
}

// unparsedValue says in our words what pflag could not make a value of.
func unparsedValue(e *pflag.InvalidValueError) *ValueError {
	f, text := e.GetFlag(), e.GetValue()
	bad := &ValueError{Flag: f.Name}
	_, err := strconv.Atoi(text)
	switch f.Value.Type() {
	case "int":
		bad.Text = fmt.Sprintf("%q is no whole number", text)
		if errors.Is(err, strconv.ErrRange) {
			bad.Text = text + " is too large a number"
		}
	case "duration":
		bad.Text = fmt.Sprintf("%q is no time like 90s, 5m or 1h30m", text)
		if err == nil {
			bad.Near = didYouMean([]string{text + "s", text + "m"})
		}
	case "bool":
		bad.Text = fmt.Sprintf("%q is neither true nor false", text)
	default:
		bad.Text = errors.Unwrap(e).Error()
		bad.Near = didYouMean(nearSize(f, text))
	}
	return bad
}

// nearSize is a size that may have been meant by 512mb or 2 GiB.
func nearSize(f *pflag.Flag, text string) []string {
	if f.Value.Type() != new(Size).Type() {
		return nil
	}
	number := strings.TrimRight(text, "bikmgBIKMG ")
	unit := strings.ToUpper(strings.TrimSpace(text[len(number):]))
	if n, err := strconv.ParseInt(number, 10, 64); err != nil || n < 1 || unit == "" || !strings.Contains("KMG", unit[:1]) {
		return nil
	}
	return []string{number + unit[:1] + "iB"}
}

// Takes is what a flag takes, where its type does not say it.
type Takes struct {
	OneOf []string           // and nothing else; nil: anything
	Check func(string) error // refuses what it does not take; may be nil
	In    bool               // - is standard input
	Out   bool               // - is standard output
	Empty bool               // nothing, "", is something
	Zero  bool               // so is no time at all
}

// Values is an error about a flag's value that is wrong by itself, whatever there is on this machine; or about standard input, which can be
// read once, and is named twice.
func Values(cmd *cobra.Command, args []string, takes func(flag string) Takes) error {
	var bad *ValueError
	var stdin []string
	for _, arg := range args {
		if arg == "-" {
			stdin = append(stdin, arg)
		}
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		what := takes(f.Name)
		if bad == nil {
			bad = wrongValue(f, what)
		}
		for _, value := range valuesOf(f) {
			switch {
			case value != "-":
			case what.In:
				stdin = append(stdin, "--"+f.Name)
			case bad == nil && namesFile(f) && !what.Out:
				bad = &ValueError{f.Name, "it takes no standard input or output", "a file that is called - is ./-"}
			}
		}
	})
	switch {
	case bad != nil:
		return bad
	case len(stdin) > 1:
		return fmt.Errorf("standard input is named twice, by %s: it can be read once", strings.Join(stdin, " and "))
	}
	return nil
}

// wrongValue is what is wrong with a flag's value, or nil.
func wrongValue(f *pflag.Flag, takes Takes) *ValueError {
	text := f.Value.String()
	switch {
	case f.Value.Type() == "int":
		least := 1
		if f.DefValue == "0" {
			least = 0 // for the default
		}
		if n, _ := strconv.Atoi(text); n < least {
			return &ValueError{f.Name, fmt.Sprintf("%s is less than %d", text, least), ""}
		}
	case f.Value.Type() == "duration":
		switch d, _ := time.ParseDuration(text); {
		case d < 0:
			return &ValueError{f.Name, text + " is less than no time", ""}
		case d == 0 && !takes.Zero && f.DefValue != text:
			return &ValueError{f.Name, text + " is no time to wait; without the flag it is " + f.DefValue, ""}
		}
	case !takes.Empty && isText(f) && slices.Contains(valuesOf(f), ""): // a script's variable that was never set
		return &ValueError{f.Name, `"" is empty; without the flag it is left to groundhog`, ""}
	case takes.Check != nil && text != f.DefValue:
		if err := takes.Check(text); err != nil {
			return &ValueError{f.Name, err.Error(), hint.Of(err)}
		}
	case takes.OneOf != nil && text != f.DefValue && !slices.Contains(takes.OneOf, text):
		return &ValueError{f.Name, fmt.Sprintf("%q is none of %s", text, strings.Join(takes.OneOf, ", ")), didYouMean(nearNames(takes.OneOf, text))}
	}
	return nil
}

// isText reports whether a flag takes a text, or several.
func isText(f *pflag.Flag) bool {
	return slices.Contains([]string{"string", "stringArray", "stringSlice"}, f.Value.Type())
}

// valuesOf is what a flag was given, one or several.
func valuesOf(f *pflag.Flag) []string {
	if several, ok := f.Value.(interface{ GetSlice() []string }); ok {
		return several.GetSlice()
	}
	return []string{f.Value.String()}
}

// namesFile reports whether a flag's value is a file's name, or a directory's.
func namesFile(f *pflag.Flag) bool {
	what, _ := pflag.UnquoteUsage(f)
	return slices.ContainsFunc([]string{"FILE", "DIR"}, func(word string) bool { return strings.Contains(what, word) })
}
