//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/inspect"
	"groundhog/fixtures"
	"groundhog/fixtures/judge"
)

// Debian's own tools judge what inspect makes of Debian's own archives.
func TestInspectTargets(t *testing.T) {
	t.Parallel()
	for _, name := range judge.Cases([]string{"bookworm/amd64", "trixie/amd64"}, "bullseye/amd64", "bookworm/arm64") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite, arch, _ := strings.Cut(name, "/")
			tgt := target(t, suite, arch)
			for _, archive := range archivesOf(tgt) {
				judgeFindings(t, tgt, archive)
				judgeList(t, archive)
				judgeTree(t, archive)
			}
		})
	}
}

// inspectJSON runs the verb and reads its JSON into v.
func inspectJSON(t *testing.T, v any, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"inspect", "--json"}, args...), nil, &stdout, &stderr); code != 0 {
		t.Fatalf("inspect %q: exit %d: %s", args, code, stderr.String())
	}
	judge.Must(t, json.Unmarshal(stdout.Bytes(), v))
}

func judgeFindings(t *testing.T, tgt *fixtures.Target, archive string) {
	t.Helper()
	var in inspect.Found
	inspectJSON(t, &in, archive)
	if in.Builder != "initramfs-tools" || in.Kernel != tgt.Kernel || in.Architecture != tgt.Arch {
		t.Errorf("%s: made by %s for kernel %s, %s", archive, in.Builder, in.Kernel, in.Architecture)
	}
	contents := []string{"main"}
	if tgt.Suite == "trixie" {
		contents = []string{"modules", "main"}
	}
	for i, s := range in.Segments {
		if len(in.Segments) != len(contents) || s.Content != contents[i] {
			t.Errorf("%s: segment %d of %d holds %s", archive, i, len(in.Segments), s.Content)
		}
	}
	if archive == tgt.Plain {
		if in.Dropbear != nil || len(in.HostKeys) > 0 || len(in.Problems) > 0 {
			t.Errorf("%s: dropbear %v, host keys %v, problems %q", archive, in.Dropbear, in.HostKeys, in.Problems)
		}
		return
	}
	if in.Release != tgt.Suite || in.Dropbear == nil || in.Dropbear.Script != "pristine" {
		t.Fatalf("%s: release %s, dropbear %v", archive, in.Release, in.Dropbear)
	}
	if want := []string{"nobody can log in: authorized_keys is empty or missing"}; !slices.Equal(in.Problems, want) {
		t.Errorf("%s: problems %q", archive, in.Problems)
	}
	judgeHostKeys(t, archive, in.HostKeys)
}

// judgeHostKeys has dropbearkey and ssh-keygen say what the keys are.
func judgeHostKeys(t *testing.T, archive string, keys []inspect.HostKey) {
	t.Helper()
	if len(keys) != 3 {
		t.Errorf("%s: %d host keys", archive, len(keys))
	}
	for _, k := range keys {
		var key bytes.Buffer
		if code := run([]string{"inspect", "--cat", k.Path, archive}, nil, &key, os.Stderr); code != 0 {
			t.Fatalf("--cat %s: exit %d", k.Path, code)
		}
		file := filepath.Join(t.TempDir(), "key")
		judge.WriteFile(t, file, key.Bytes())
		_, line, _ := strings.Cut(command(t, "dropbearkey", "-y", "-f", file), "\n")
		fields := strings.Fields(line)
		judge.WriteFile(t, file, fields[0]+" "+fields[1]+"\n")
		if want := strings.TrimSpace(command(t, "ssh-keygen", "-lf", file)); k.Identity != want {
			t.Errorf("%s: %q, ssh-keygen says %q", k.Path, k.Identity, want)
		}
	}
}

func judgeList(t *testing.T, archive string) {
	t.Helper()
	want := slices.Compact(slices.Sorted(slices.Values(lsinitramfs(t, archive))))
	var list inspect.Listing
	inspectJSON(t, &list, "--list", archive)
	var got []string
	for _, l := range list.Entries {
		got = append(got, l.Path)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: lsinitramfs (-), groundhog (+):\n%s", archive, diff)
	}
}

// judgeTree holds an unpacked archive against what unmkinitramfs makes of it. The times of
// directories and symlinks are not compared: it does not keep them.
func judgeTree(t *testing.T, archive string) {
	t.Helper()
	ours := filepath.Join(t.TempDir(), "ours")
	if code := run([]string{"inspect", "-q", "--extract", ours, archive}, nil, os.Stdout, os.Stderr); code != 0 {
		t.Fatalf("--extract %s: exit %d", archive, code)
	}
	theirs := unpack(t, archive)
	command(t, "diff", "-r", "--no-dereference", theirs, ours)
	if diff := cmp.Diff(facts(t, theirs), facts(t, ours)); diff != "" {
		t.Errorf("%s: unmkinitramfs (-), groundhog (+):\n%s", archive, diff)
	}
}

// facts is a line for each path below dir.
func facts(t *testing.T, dir string) []string {
	t.Helper()
	out := command(t, "find", dir, "-mindepth", "1", "(", "-type", "f", "-printf", "%P %y %m %U:%G %n %Ts\n",
		"-o", "-type", "l", "-printf", "%P %y %l\n", "-o", "-printf", "%P %y %m %U:%G\n", ")")
	lines := strings.Split(out, "\n")
	slices.Sort(lines)
	return lines
}
