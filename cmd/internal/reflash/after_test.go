package reflash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/flash/plain"
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
	} {
		t.Run(name, func(t *testing.T) {
			root, bin := t.TempDir(), t.TempDir()
			run := filepath.Join(root, "run/groundhog")
			judge.Must(t, os.MkdirAll(run, 0o700))
			if c.leaving {
				judge.WriteFile(t, filepath.Join(run, "leaving"), "")
			}
			for tool, does := range map[string]string{
				"udevadm": ":", "sync": ":", "blockdev": "echo " + c.size, "blkid": "echo " + c.kind,
				"e2fsck":    fmt.Sprintf("echo broken; exit %d", c.e2fsck),
				"resize2fs": fmt.Sprintf("echo no; exit %d", c.resize),
			} {
				judge.Must(t, judge.WriteProgram(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+does+"\n"), 0o700))
			}
			cmd := exec.Command("/bin/sh", "-c", plain.Writing+growScript, "groundhog", "/dev/vda", "/dev/vda1", "4096")
			cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "groundhog_root=" + root}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			_, writing := os.Stat(filepath.Join(run, "writing"))
			got := outcome{Grown: string(out) == "grown\n" && err == nil, Writing: writing == nil}
			if strings.Contains(stderr.String(), c.want.Says) {
				got.Says = c.want.Says
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s%s", diff, stderr.String())
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
