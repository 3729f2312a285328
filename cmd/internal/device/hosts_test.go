package device

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

func TestConfiguredHosts(t *testing.T) {
	home := t.TempDir()
	for name, text := range map[string]string{
		"config": "# Host commented\nHost bench-2 \"bench-1\" *.lab !bench-9\n  HostName 192.0.2.1\nhost=pi\n" +
			"Match host x\nInclude more/*.conf ~/.ssh/loop\nHost bench-1\n",
		"more/a.conf": "\tHost nuc\t# a comment\n",
		"more/b.txt":  "Host never\n",
		"loop":        strings.Repeat("Include loop loo?\n", 40) + "Host round\n",
		"loo2":        strings.Repeat("Include loo*\n", 40),
	} {
		path := filepath.Join(home, ".ssh", name)
		judge.Must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		judge.WriteFile(t, path, text)
	}
	want := []string{"bench-1", "bench-2", "nuc", "pi", "round"}
	if diff := cmp.Diff(want, ConfiguredHosts("", home)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := ConfiguredHosts("", t.TempDir()); got != nil {
		t.Errorf("without a configuration: %q", got)
	}
	if got := ConfiguredHosts("none", home); got != nil {
		t.Errorf("with none: %q", got)
	}
}
