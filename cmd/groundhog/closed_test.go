package main

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"groundhog/fixtures/judge"
)

// released is groundhog as a release has it, in a process of its own. It is built by the Makefile's own flags.
func released(t *testing.T) string {
	t.Helper()
	judge.Tool(t, "make")
	name := filepath.Join(t.TempDir(), "groundhog")
	said, err := exec.Command("make", "-s", "-C", "../..", "program", "PROGRAM="+name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return name
}

// A verb whose answer goes to a standard output that is closed ends in trouble, and says why; one that has to read a standard input that is closed, too. Who opened
// /dev/null for it wants no answer.
func TestClosedStreams(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the entry is for Linux on amd64 and arm64")
	}
	groundhog := released(t)
	workplace(t)
	hooksRoot(t, "hooked")
	in := func(redirection string, args ...string) (int, string) {
		cmd := exec.Command("sh", append([]string{"-c", `"$@" ` + redirection, "sh", groundhog}, args...)...)
		var said bytes.Buffer
		cmd.Stderr = &said
		err := cmd.Run()
		var ended *exec.ExitError
		if err != nil && !errors.As(err, &ended) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), said.String()
	}
	nobody := []string{"--ssh-config", "none", "root@127.0.0.1:1"}
	at := func(verb string, rest ...string) []string { return append(append([]string{verb}, nobody...), rest...) }
	table := map[string][]string{
		"patch":    {"patch", "initrd.img", "--root", "root", "--dry-run", "--no-writer"},
		"hooks":    {"hooks", "hooked", "--dry-run", "--no-writer", "--authorized-keys", "id.pub"},
		"inspect":  {"inspect", "reflash.img"},
		"manifest": {"manifest", "reflash.img"},
		"diff":     {"diff", "reflash.img", "initrd.img"},
		"verify":   {"verify", "reflash.img"},
		"push":     at("push", "reflash.img", "--json"),
		"restore":  at("restore", "--json"),
		"flash":    at("flash", "disk.img", "--force", "--json"),
		"reflash":  at("reflash", "reflash.img", "disk.img", "--force", "--plan"),
		"index":    {"index", "--list", "--json"},
		"schema":   {"schema"},
		"version":  {"version"},
		"help":     {"help", "push"},
	}
	for _, more := range [][]string{{"--help"}, {"push", "--help"}, {"--version"}, {"completion", "bash"}} {
		table[strings.Join(more, " ")] = more
	}
	everyVerb(t, func(t *testing.T, verb *cobra.Command) {
		if table[verb.Name()] == nil {
			t.Error("not in the table")
		}
	})
	for name, args := range table {
		if code, said := in(">&-", args...); code != exitTrouble || strings.Count(said, "groundhog: writing to standard output: it is closed\n") != 1 {
			t.Errorf("%s: exit %d\n%s", name, code, said)
		}
		for _, nowhere := range []string{">/dev/null", "1<>/dev/null"} { // the latter is how the runtime, and Python's DEVNULL, open it
			if code, said := in(nowhere, args...); strings.Contains(said, "it is closed") || code == exitTrouble {
				t.Errorf("%s %s: exit %d\n%s", name, nowhere, code, said)
			}
		}
	}
	for _, args := range [][]string{{"inspect", "-"}, {"manifest", "-"}, {"patch", "-", "--root", "root"}, {"diff", "-", "reflash.img"}, at("push", "-"), at("flash", "-"),
		{"reflash", "--ssh-config", "none", "--hosts", "-", "reflash.img", "disk.img", "--force"}} {
		if code, said := in("<&- >/dev/null", args...); code != exitTrouble || !strings.Contains(said, "standard input: it is closed") {
			t.Errorf("%q: exit %d\n%s", args, code, said)
		}
	}
}
