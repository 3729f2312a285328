package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wrongByType is what no flag of a type takes, and what is said of it behind the flag's name.
var wrongByType = map[string][][2]string{
	"int":      {{"x", `"x" is no whole number`}, {"3x", `"3x" is no whole number`}, {"", `"" is no whole number`}, {"99999999999999999999", "99999999999999999999 is too large a number"}, {"-3", "-3 is less than "}},
	"duration": {{"x", `"x" is no time like 90s, 5m or 1h30m`}, {"5", "did you mean 5s or 5m?"}, {"-5s", "-5s is less than no time"}},
	"bool":     {{"maybe", `"maybe" is neither true nor false`}},
	"size":     {{"3Q", `"3Q": not a size like 512MiB or 2GiB`}, {"0", `"0": not a size`}, {"-5", `"-5": not a size`}, {"512mb", "did you mean 512MiB?"}, {"2 gib", "did you mean 2GiB?"}},
}

// wrongByName is the same of flags whose values have a form of their own.
var wrongByName = map[string][][2]string{
	"sha256":          {{"12", `"12" is no SHA-256 in hex`}},
	"target":          {{"nope", `"nope" names no disk`}, {"cid:", `"cid:" names no disk`}},
	"url":             {{"ftp://x/y", `"ftp://x/y" is no http or https URL`}},
	"initramfs":       {{"a:99999", "the port is a number from 1 to 65535"}, {"a:x", "the port is a number"}},
	"patience":        {{"0", "0s is no time to wait; without the flag it is 5m0s"}},
	"reboot-timeout":  {{"0s", "0s is no time to wait; without the flag it is 5m0s"}},
	"login-timeout":   {{"0m", "0s is no time to wait; without the flag it is 1m0s"}},
	"command-timeout": {{"0", "0s is no time to wait; without the flag it is 10m0s"}},
	"expect-host-key": {{"SHA256:x", `"SHA256:x": not a fingerprint`}, {"SHA256:y", "(ssh-keygen -lf FILE.pub); see groundhog "}},
}

// anyText is flags that take any text, or whose text is looked at with what it is for.
var anyText = strings.Fields(`cat device dropbear-option fail-on host-key mac module power-cycle ready release signer tool`)

// What a flag does not take is one line that names the flag and says what it takes, and what may have been meant, whatever
// else there is on the command line. Who adds a flag of another kind says so here.
func TestWrongValues(t *testing.T) {
	everyVerb(t, func(t *testing.T, verb *cobra.Command) {
		verb.InitDefaultHelpFlag()
		verb.Flags().AddFlagSet(rootCmd().PersistentFlags())
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			wrong := slices.Concat(wrongByType[f.Value.Type()], wrongByName[f.Name])
			for _, name := range oneOf(verb.Name(), f.Name) {
				wrong = append(wrong, [2]string{"x" + name, name})
			}
			if oneOf(verb.Name(), f.Name) != nil {
				wrong = append(wrong, [2]string{"nosuch", `"nosuch" is none of `})
			}
			what, _ := pflag.UnquoteUsage(f)
			if wrong == nil && !namesPath(f) && !slices.Contains(anyText, f.Name) {
				t.Errorf("--%s %s is in no table", f.Name, what)
			}
			if kind := f.Value.Type(); f.Name != "dropbear-option" && (kind == "string" || kind == "stringArray") {
				wrong = append(wrong, [2]string{"", `"" is`})
			}
			for _, w := range wrong {
				hinted := strings.Contains(w[1], "fingerprint") || strings.Contains(w[1], "port") // by a hint of its own
				code, out, said := here(verb.Name(), fmt.Sprintf("--%s=%s", f.Name, w[0]))
				if code != exitTrouble || out != "" || !strings.HasPrefix(said, "groundhog: --"+f.Name+": ") || !strings.Contains(said, w[1]) ||
					strings.Count(said, "\n") != 2 || !strings.Contains(said, "see groundhog "+verb.Name()+" --help\n") && !hinted {
					t.Errorf("--%s=%s: exit %d, want %q\n%s%s", f.Name, w[0], code, w[1], out, said)
				}
			}
		})
	})
}

// namesPath reports whether a flag takes the name of a file or a directory.
func namesPath(f *pflag.Flag) bool {
	what, _ := pflag.UnquoteUsage(f)
	return strings.Contains(what, "FILE") || strings.Contains(what, "DIR") || f.Name == "manifest" || f.Name == "expect-host-key"
}

// counted counts how often it is read.
type counted struct{ times int }

func (c *counted) Read([]byte) (int, error) { c.times++; return 0, io.EOF }

// stdioCases are command lines that lack one flag, with - for it: standard input is read, or standard output written to.
var stdioCases = map[string]map[string][]string{
	"patch": {"output": {"initrd.img", "--root", "root"}, "manifest": {"initrd.img", "--root", "root", "-o", "x.img"}, "known-hosts": {"initrd.img", "--root", "root", "-o", "x.img"},
		"ca": {"initrd.img", "--root", "root", "-o", "x.img"}, "authorized-keys": {"initrd.img", "--root", "root", "-o", "x.img"}, "host-key": {"initrd.img", "--root", "root", "-o", "x.img"}},
	"hooks":    {"ca": {"root"}, "authorized-keys": {"root"}, "host-key": {"root"}},
	"manifest": {"output": {"reflash.img"}, "sign-key": {"reflash.img", "-o", "m.json"}},
	"diff":     {"html": {"initrd.img", "reflash.img"}},
	"verify":   {"manifest": {"reflash.img"}, "signature": {"reflash.img", "--allowed-signers", "id.pub"}, "allowed-signers": {"reflash.img", "--signature", "id.pub"}},
	"reflash":  {"hosts": {"reflash.img", "disk.img", "--force", "--plan"}, "expect-host-key": {"root@127.0.0.1:1", "reflash.img", "disk.img", "--force", "--plan"}},
}

// Wherever a flag names a file, - is standard input or output, or is refused by name before anything is done; and standard input is
// named once.
func TestFlagsOfFiles(t *testing.T) {
	workplace(t)
	everyVerb(t, func(t *testing.T, verb *cobra.Command) {
		var inputs []string
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			if !namesPath(f) {
				return
			}
			takes, args := flagTakes(verb.Name(), f.Name), stdioCases[verb.Name()][f.Name]
			if (takes.In || takes.Out) != (args != nil) {
				t.Errorf("--%s takes standard input: %t, output: %t, and is in the table: %t", f.Name, takes.In, takes.Out, args != nil)
			}
			stdin, stdout, stderr := &counted{}, &bytes.Buffer{}, &bytes.Buffer{}
			code := run(slices.Concat([]string{verb.Name()}, args, []string{"--" + f.Name + "=-"}), stdin, stdout, stderr)
			switch {
			case takes.In:
				inputs = append(inputs, "--"+f.Name+"=-")
				if stdin.times == 0 {
					t.Errorf("--%s: nothing was read: exit %d\n%s%s", f.Name, code, stdout, stderr)
				}
			case takes.Out:
				if code == exitTrouble || stdout.Len() == 0 {
					t.Errorf("--%s: nothing was written: exit %d\n%s", f.Name, code, stderr)
				}
			default:
				want := "groundhog: --" + f.Name + ": it takes no standard input or output\n  a file that is called - is ./-; see groundhog " + verb.Name() + " --help\n"
				if code != exitTrouble || stdout.Len() > 0 || stderr.String() != want {
					t.Errorf("--%s: exit %d, want\n%s\n%s%s", f.Name, code, want, stdout, stderr)
				}
			}
		})
		for _, one := range inputs {
			for _, other := range append(inputs, "-") {
				code, out, said := here(verb.Name(), one, other)
				if one == other && !repeatable(verb, one) {
					continue // the last one counts
				}
				if code != exitTrouble || out != "" || !strings.Contains(said, "standard input is named twice, by ") {
					t.Errorf("%s %s: exit %d\n%s%s", one, other, code, out, said)
				}
			}
		}
	})
	if left, err := os.Stat("-"); err == nil {
		t.Errorf("there is a file that is called %s now", left.Name())
	}
}

// repeatable reports whether a flag may be given several times.
func repeatable(verb *cobra.Command, arg string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
	_, ok := verb.Flags().Lookup(name).Value.(pflag.SliceValue)
	return ok
}
