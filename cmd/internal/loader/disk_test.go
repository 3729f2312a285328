package loader

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/flash/disk"
	"groundhog/fixtures/judge"
)

// sysfs is disks as the kernel shows them.
var sysfs = map[string]string{
	"mmcblk0/size": "30535680\n", "mmcblk0/device/name": "BJTD4R\n", "mmcblk0/device/serial": "0x01234567\n", "mmcblk0/device/cid": "15010042\x1b4a544434\n",
	"sda/size": "2000409264\n", "sda/device/model": "Samsung SSD     \n", "sda/device/vpd_pg80": "\x00\x80\x00\x08  S4EWNX0M\x00\x00",
	"sdb/size": "8\n", "sdb/device/model": "a\tb\x07c\xff\xc3\xa9 \n", "sdb/serial": "   \n", "sdb/device/serial": "one\ntwo\n",
	"vda/size": "2048\n", "vda/serial": "disk-1", "nvme0n1/size": "4096\n", "nvme0n1/hidden": "0\n", "nvme0n1/device/serial": "N-1 \n", "nvme0n1/device/model": "nvme\n",
	"nvme0c0n1/size": "4096\n", "nvme0c0n1/hidden": "1\n", "nvme0c0n1/device/serial": "N-1 \n",
	"cciss!c0d0/size": "16\n", "cciss!c0d0/device/model": "LOGICAL\n",
	"xvda/size": "16\n", "xvda/device/model": "$(touch pwned)`id`'\"\\n\n",
	"vdb/size": "16\n", "vdb/serial": string(bytes.Repeat([]byte("x"), 300)),
}

// What a disk is called is read by the shell on the running system, and by Go in the waiting initramfs: both say the same.
func TestDiskReadTwice(t *testing.T) {
	root := t.TempDir()
	judge.WriteTree(t, filepath.Join(root, "sys/block"), sysfs)
	empty := func(_ string, n int64) ([]byte, error) { return make([]byte, n), nil }
	all := judge.Value(disk.List(os.DirFS(root), empty))(t)
	byGo := map[string]disk.Identity{}
	for _, d := range all {
		byGo[d.Path] = d.Identity
	}
	names := []string{"/dev/mmcblk0", "/dev/sda", "/dev/sdb", "/dev/vda", "/dev/nvme0n1", "/dev/cciss/c0d0", "/dev/xvda", "/dev/vdb"}
	if len(byGo) != len(names) {
		t.Errorf("Go finds %v", byGo)
	}
	shells := [][]string{{judge.Tool(t, "dash")}, {judge.Tool(t, "busybox"), "sh"}}
	for _, shell := range shells {
		ask := func(path string) Facts {
			t.Helper()
			cmd := exec.Command(shell[0], append(shell[1:], "-c", diskText+"lsblk() { :; }\ndisk_facts \"$1\"; fact end ok", "groundhog", path)...)
			cmd.Env, cmd.Dir = append(os.Environ(), "groundhog_root="+root), t.TempDir()
			out := judge.Output(t, cmd)
			f := judge.Value(ParseFacts(string(out)))(t)
			if left, _ := os.ReadDir(cmd.Dir); len(left) > 0 {
				t.Errorf("%s: a disk's name was run", path)
			}
			return f
		}
		for _, path := range names {
			bySh, ok := ask(path).Disk()
			if diff := cmp.Diff(byGo[path], bySh); diff != "" || !ok {
				t.Errorf("%s, %s: %v (-Go +shell):\n%s", shell, path, ok, diff)
			}
		}
		if d, ok := ask("/dev/nvme0c0n1").Disk(); ok {
			t.Errorf("%s: a hidden disk: %v", shell, d)
		}
	}
}
