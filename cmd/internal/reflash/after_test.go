package reflash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/flash/plain"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/judge"
)

func TestParsePartitions(t *testing.T) {
	said := "device /dev/vda\nDEVNAME=/dev/vda\nPTTYPE=gpt\ndevice /dev/vda1\nLABEL=root\\ fs\nTYPE=ext4\nUSAGE=filesystem\n" +
		"device /dev/vda2\ndevice /dev/vda3\nTYPE=vfat"
	want := []diskPartition{{"/dev/vda1", "ext4", `root\ fs`}, {"/dev/vda3", "vfat", ""}}
	if diff := cmp.Diff(want, parsePartitions(said)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := parsePartitions(strings.Repeat("device /dev/x\nTYPE=ext4\n", 1000)); len(got) != maxPartitions {
		t.Errorf("%d partitions", len(got))
	}
}

// A filesystem that is half enlarged is never booted; one that was not touched may be.
func TestGrowScript(t *testing.T) {
	type outcome struct {
		Grown, Writing bool
		Says           string
	}
	for name, c := range map[string]struct {
		size, kind     string
		e2fsck, resize int
		leaving        bool
		change         string // in sh, in the run directory
		want           outcome
	}{
		"good":             {size: "4096", kind: "ext4", want: outcome{Grown: true}},
		"repaired":         {size: "4096", kind: "ext4", e2fsck: 1, want: outcome{Grown: true}},
		"old table":        {size: "2048", kind: "ext4", want: outcome{Says: "the kernel keeps the old table"}},
		"other filesystem": {size: "4096", kind: "btrfs", want: outcome{Says: "has btrfs, not ext4"}},
		"none":             {size: "4096", want: outcome{Says: "no filesystem that blkid knows"}},
		"beyond repair":    {size: "4096", kind: "ext4", e2fsck: 4, want: outcome{Says: "e2fsck: broken"}},
		"half":             {size: "4096", kind: "ext4", resize: 1, want: outcome{Writing: true, Says: "resize2fs: no"}},
		"leaving":          {size: "4096", kind: "ext4", leaving: true, want: outcome{Says: "the boot is going on"}},
		"another's disk":   {size: "4096", kind: "ext4", change: "echo flash 456 /dev/vda >verified", want: outcome{Says: "another flash has written to /dev/vda since"}},
		"half another's":   {size: "4096", kind: "ext4", change: "echo curl 456 /dev/vda >writing", want: outcome{Writing: true, Says: "another flash has written to /dev/vda since"}},
		"another at work":  {size: "4096", kind: "ext4", change: "echo flash 456 /dev/vda >writing; mkdir plain.by; echo somebody >plain.by/$PPID.$(sed 's/.*) //' /proc/$PPID/stat | cut -d' ' -f20)", want: outcome{Writing: true, Says: "another flash is at work: somebody"}},
	} {
		t.Run(name, func(t *testing.T) {
			root, bin := t.TempDir(), t.TempDir()
			run := filepath.Join(root, "run/groundhog")
			judge.Must(t, os.MkdirAll(run, 0o700))
			if c.leaving {
				judge.WriteFile(t, filepath.Join(run, "leaving"), "")
			}
			judge.WriteFile(t, filepath.Join(run, "verified"), "flash 123 /dev/vda\n")
			change := exec.Command("/bin/sh", "-c", c.change)
			change.Dir = run
			judge.Run(t, change)
			for tool, does := range map[string]string{
				"udevadm": ":", "sync": ":", "blockdev": "echo " + c.size, "blkid": "echo " + c.kind,
				"e2fsck":    fmt.Sprintf("echo broken; exit %d", c.e2fsck),
				"resize2fs": fmt.Sprintf("[ $(cat %s/plain.by/*) = me ] || exit 9; echo no; exit %d", run, c.resize), // nobody else begins meanwhile
			} {
				judge.Must(t, judge.WriteProgram(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+does+"\n"), 0o700))
			}
			cmd := exec.Command("/bin/sh", "-c", plain.Writing+growScript, "groundhog", "/dev/vda", "/dev/vda1", "4096", "flash 123", "me")
			cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "groundhog_root=" + root}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if left, _ := filepath.Glob(filepath.Join(run, "plain.by/*")); len(left) > 0 && c.change == "" {
				t.Errorf("left: %v", left)
			}
			_, writing := os.Stat(filepath.Join(run, "writing"))
			got := outcome{Grown: string(out) == "grown\n" && err == nil, Writing: writing == nil}
			if strings.Contains(stderr.String(), c.want.Says) {
				got.Says = c.want.Says
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s%s", diff, stderr.String())
			}
			if b, _ := os.ReadFile(filepath.Join(run, "writing")); strings.Contains(c.change, ">writing") && strings.Contains(string(b), "grow") {
				t.Errorf("another one's mark is now %q", b)
			}
		})
	}
}

func TestDeviceScripts(t *testing.T) {
	for name, script := range map[string]string{"grow": plain.Writing + growScript, "partitions": partitionsScript} {
		cmd := exec.Command(judge.Tool(t, "shellcheck"), "-s", "dash", "-")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// What is refused before anything is written has cleared nothing.
func TestGrowIsRefused(t *testing.T) {
	t.Parallel()
	content := slices.Clone(plainImage())
	clear(content[512:]) // no filesystem that could be enlarged
	b := readyFor(benchFor(t, content), "flash")
	tail := make([]byte, 2<<20)
	copy(tail[len(tail)-512:], "EFI PART")
	b.On("| gzip -1", func(c *devicetest.Command) int { c.Stdout.Write(judge.Gzip(tail)); return 0 })
	b.On("command -v $t", devicetest.Say("", 0))
	out := b.run(t.Context(), "flash --grow")
	if out.Verdict != Refused || !strings.Contains(out.Text, "--grow: ") || strings.Contains(b.told.String(), "cleared") {
		t.Errorf("%+v\n%s", out, &b.told)
	}
	b.judge(out)
}

// Who asks for the disk's state, and our own writer that has yet to end, are waited for before a filesystem is enlarged; somebody else's flash is not.
func TestGrowWaits(t *testing.T) {
	t.Parallel()
	for by, want := range map[string]State{writer.Asking: Verified, whoami(): Verified, "somebody": Verified} {
		b := waitingFor(t, "flash")
		b.On("command -v $t", devicetest.Say("", 0))
		b.On("resize2fs(8)", devicetest.Say("grown\n", 0))
		b.Once("resize2fs(8)", devicetest.Complain("another flash is at work: "+by, 1))
		out := b.run(t.Context(), "flash --grow")
		if out.State != want || (out.Verdict == Done) != (by != "somebody") {
			t.Errorf("%s: %+v\n%s", by, out, &b.told)
		}
	}
}

// Whose the disk is after an enlarging that failed follows from what the device says of it.
func TestUngrown(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		line func(session string) string // what the device says of its disk
		want State
	}{
		"ours":               {func(s string) string { return "verified " + s }, Verified},
		"half enlarged":      {func(s string) string { return "writing grow " + s }, Waiting},
		"another's":          {func(string) string { return "verified other" }, Replaced},
		"another's, begun":   {func(string) string { return "writing other" }, Replaced},
		"another's, by curl": {func(string) string { return "writing curl other" }, Replaced},
		"nothing":            {func(string) string { return "" }, Unknown},
	} {
		b := waitingFor(t, "flash")
		b.On("command -v $t", devicetest.Say("", 0))
		session := ""
		b.On("resize2fs(8)", func(d *devicetest.Command) int {
			session = strings.TrimPrefix(d.Args[3], "flash ")
			fmt.Fprintln(d.Stderr, "no")
			return 1
		})
		b.On("groundhog-writer state", func(d *devicetest.Command) int { fmt.Fprintln(d.Stdout, c.line(session)); return 0 })
		if out := b.run(t.Context(), "flash --grow"); out.Verdict != Trouble || out.State != c.want {
			t.Errorf("%s: %+v", about, out)
		}
	}
}
