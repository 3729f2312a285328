package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// What only `make dist` compiles compiles.
func TestManPagesCompile(t *testing.T) {
	if out, err := exec.Command(judge.Tool(t, "go"), "vet", "-tags", "man", ".").CombinedOutput(); err != nil {
		t.Errorf("go vet -tags man: %v: %s", err, out)
	}
}

// groundhog(7) says of each state what README says.
func TestStatesOfManPage(t *testing.T) {
	words := func(text string) string {
		return strings.ToLower(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \n.;,:`", r) }), " "))
	}
	_, table, _ := strings.Cut(string(judge.ReadFile(t, "../../README.md")), "\n| state | |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	want := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*`) \\| (.*) \\|$").FindAllStringSubmatch(table, -1) {
		want[words(row[1])] = words(row[2])
	}
	_, page, _ := strings.Cut(string(judge.ReadFile(t, "man/groundhog.7")), "\n.SH STATES\n")
	page, _, _ = strings.Cut(page, "\n.SH ")
	got := map[string]string{}
	for _, part := range strings.Split(page, "\n.TP\n")[1:] {
		name, text, _ := strings.Cut(strings.TrimPrefix(part, ".B "), "\n")
		got[words(name)] = words(text)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 10 {
		t.Errorf("%d states (-README +page):\n%s", len(want), diff)
	}
}
