package man

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"groundhog/fixtures/judge"
)

// Every verb that the help shows has a page, with all flags, and whatever page another one names is there.
func TestPages(t *testing.T) {
	verb := func(use string, below ...*cobra.Command) *cobra.Command {
		v := &cobra.Command{Use: use, Short: "do it", Run: func(*cobra.Command, []string) {}}
		v.AddCommand(below...)
		return v
	}
	hidden := verb("hidden")
	hidden.Hidden = true
	root := verb("prog", verb("one"), hidden, verb("two", verb("a"), verb("b")))
	root.Version = "1.2.3"
	root.PersistentFlags().Bool("quiet", false, "say nothing")
	root.InitDefaultHelpCmd()
	dir := t.TempDir()
	when := time.Unix(1700000000, 0)
	judge.Must(t, Pages(root, dir, doc.GenManHeader{Section: "1", Date: &when, Source: "prog 1.2.3", Manual: "prog"}))
	var names []string
	for _, page := range judge.Value(os.ReadDir(dir))(t) {
		name := strings.TrimSuffix(page.Name(), ".1")
		names = append(names, name)
		text := string(judge.ReadFile(t, filepath.Join(dir, page.Name())))
		for _, flag := range []string{"--help", "--quiet"} {
			if !strings.Contains(text, flag) {
				t.Errorf("%s has no %s", name, flag)
			}
		}
		if strings.Contains(text, "--version") != (name == "prog") || !strings.HasPrefix(text, ".nh\n.TH \""+name+`" "1" "Nov 2023" "prog 1.2.3" "prog"`) {
			t.Errorf("%s:\n%s", name, text)
		}
		for _, other := range regexp.MustCompile(`fB([a-z-]+)\(1\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(dir, other[1]+".1")); err != nil {
				t.Errorf("%s names %s(1), which there is not", name, other[1])
			}
		}
	}
	if want := []string{"prog-one", "prog-two-a", "prog-two-b", "prog-two", "prog"}; !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(want))) {
		t.Errorf("%q", names)
	}
}
