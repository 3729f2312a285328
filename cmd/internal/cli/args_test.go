package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"groundhog/fixtures/judge"
)

// The usage line alone says how many arguments there may be, and its words say what is wrong.
func TestArgs(t *testing.T) {
	for _, c := range []struct {
		use, args, want string
	}{
		{"patch INITRD", "a", ""},
		{"patch INITRD", "", "INITRD is missing"},
		{"patch INITRD", "''", `an argument is empty: patch INITRD, and there is ""`},
		{"push HOST... ARCHIVE", "a '' c", `an argument is empty: push HOST... ARCHIVE, and there are "a", "", "c"`},
		{"patch INITRD", "a b c", `patch takes one INITRD, and there are "a", "b", "c"`},
		{"patch INITRD", "1 2 3 4 5 6 7", `patch takes one INITRD, and there are "1", "2", "3", "4", "5" and 2 arguments more`},
		{"push HOST... ARCHIVE", "a b c d", ""},
		{"push HOST... ARCHIVE", "is", `HOST and ARCHIVE are needed, and there is only "is"`},
		{"restore HOST...", "", "HOST is missing"},
		{"diff OLD NEW [NEWER...]", "a b", ""},
		{"diff OLD NEW [NEWER...]", "a b c d", ""},
		{"diff OLD NEW [NEWER...]", "", "OLD and NEW are needed, and there are none"},
		{"reflash [HOST...] ARCHIVE IMAGE", "a b", ""},
		{"reflash [HOST...] ARCHIVE IMAGE", "a", `ARCHIVE and IMAGE are needed, and there is only "a"`},
		{"schema [NAME]", "", ""},
		{"schema [NAME]", "a b", `schema takes one NAME, and there are "a", "b"`},
		{"version", "", ""},
		{"version", "a", `version takes no arguments, and there is "a"`},
	} {
		got := ""
		args := strings.Fields(c.args)
		for i, arg := range args {
			args[i] = strings.Trim(arg, "'")
		}
		if err := Args(&cobra.Command{Use: c.use}, args); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s, given %q: %q, want %q", c.use, c.args, got, c.want)
		}
	}
}

func TestExclusive(t *testing.T) {
	for args, want := range map[string]string{
		"":                  "",
		"--list --other":    "",
		"--list --cat":      "--cat and --list exclude one another",
		"--json --cat":      "--cat and --json exclude one another",
		"--list --json":     "",
		"--cat --cat=false": "",
	} {
		cmd := &cobra.Command{Use: "inspect"}
		for _, name := range []string{"list", "cat", "json", "other"} {
			cmd.Flags().Bool(name, false, "")
		}
		cmd.MarkFlagsMutuallyExclusive("list", "cat")
		cmd.MarkFlagsMutuallyExclusive("json", "cat")
		judge.Must(t, cmd.ParseFlags(strings.Fields(args)))
		got := ""
		if err := Exclusive(cmd); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}
