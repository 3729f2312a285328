package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

const mib = 1 << 20

// run runs a tool, which must end well.
func run(t testing.TB, stdin, tool string, args ...string) string {
	t.Helper()
	c := exec.Command(judge.Tool(t, tool), args...)
	c.Stdin = strings.NewReader(stdin)
	return judge.Run(t, c)
}

// made is an image that sfdisk made of a script.
func made(t testing.TB, size int64, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	truncate(t, name, size)
	run(t, script, "sfdisk", "-q", name)
	return name
}

func truncate(t testing.TB, name string, size int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// beginning is the image's first chunk, and its size.
func beginning(t testing.TB, name string) ([]byte, int64) {
	t.Helper()
	f := judge.Value(os.Open(name))(t)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, chunk.Size))
	info, serr := f.Stat()
	judge.Must(t, errors.Join(err, serr))
	return b, info.Size()
}

// grown is the disk that the image is flashed to, with room for its last partition. The copy has holes where the image has.
func grown(t testing.TB, image string, diskSize, block int64) (string, Growth) {
	t.Helper()
	first, size := beginning(t, image)
	before := bytes.Clone(first)
	out, tail, g, err := Grow(first, size, diskSize, block)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, before) {
		t.Error("what was given changed")
	}
	disk := filepath.Join(t.TempDir(), "disk")
	run(t, "", "cp", "--sparse=always", image, disk)
	truncate(t, disk, diskSize)
	f := judge.Value(os.OpenFile(disk, os.O_RDWR, 0))(t)
	defer f.Close()
	f.WriteAt(out, 0)
	for _, e := range tail {
		if e.Off < size {
			t.Errorf("an extent at %d, in an image of %d bytes", e.Off, size)
		}
		f.WriteAt(e.Data, e.Off)
	}
	// On the disk as it is now there is nothing more to do.
	again, tail, same, err := Grow(out, diskSize, diskSize, block)
	if err != nil || tail != nil || same.By != 0 || same.Partition != g.Partition || !bytes.Equal(again, out) {
		t.Errorf("grown again by %d, %d extents, %v", same.By, len(tail), err)
	}
	return disk, g
}

// sound has the tools look at a disk.
func sound(t testing.TB, disk string) {
	t.Helper()
	if out := run(t, "", "sfdisk", "--verify", disk); !strings.Contains(out, "No errors") || strings.Contains(out, "mismatch") {
		t.Errorf("sfdisk: %s", out)
	}
	if strings.Contains(run(t, "", "sfdisk", "-d", disk), "label: gpt") {
		if out := run(t, "", "sgdisk", "-v", disk); !strings.Contains(out, "No problems found") {
			t.Errorf("sgdisk: %s", out)
		}
	}
}

const (
	gptScript = "label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\n" +
		"size=2MiB,type=uefi,name=\"EFI é\",attrs=\"RequiredPartition GUID:63\"\nstart=4MiB,size=5120,type=linux,name=root\n"
	mbrScript = "label: dos\nlabel-id: 0x12345678\nsize=1MiB,type=c,bootable\nstart=4MiB,size=5120,type=83\n"
)

// The grown table is, byte for byte, the one that sfdisk makes where it is told the same.
func TestGrowAsSfdisk(t *testing.T) {
	for name, script := range map[string]string{
		"gpt":          gptScript,
		"gpt, 1 last":  "label: gpt\nstart=4MiB,size=1MiB,type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709\nstart=1MiB,size=1MiB,type=swap\n",
		"gpt, 3 and 7": "label: gpt\n3: start=1MiB,size=1MiB,type=swap\n7: start=2MiB,size=1MiB,type=linux\n",
		"mbr":          mbrScript,
		"mbr, 1 last":  "label: dos\nstart=4MiB,size=1MiB,type=83,bootable\nstart=1MiB,size=1MiB,type=82\n",
		"mbr, box":     "label: dos\nstart=1MiB,size=2MiB,type=5\n4: start=4MiB,size=1MiB,type=83\n5: start=2MiB,size=1MiB,type=83\n",
	} {
		for _, size := range []int64{9*mib + 40*512, 20*mib + 7*512, 9 << 30, 3 << 40} {
			t.Run(fmt.Sprintf("%s to %d", name, size), func(t *testing.T) {
				t.Parallel() // sfdisk waits a while when it has written
				image := made(t, 8*mib, script)
				disk, g := grown(t, image, size, 512)
				if (g.Start+g.Size)%mib != 0 || g.By <= 0 || g.Start+g.Size > size || size-g.Start-g.Size > 2*mib && size < 2<<40 {
					t.Errorf("%+v on %d bytes", g, size)
				}
				sound(t, disk)
				theirs := filepath.Join(t.TempDir(), "theirs")
				run(t, "", "cp", image, theirs)
				truncate(t, theirs, size)
				if strings.HasPrefix(script, "label: gpt") {
					run(t, "", "sfdisk", "-q", "--relocate", "gpt-bak-std", theirs)
				}
				run(t, fmt.Sprintf("%d,%d", g.Start/512, g.Size/512), "sfdisk", "-q", "-N", fmt.Sprint(g.N), theirs)
				run(t, "", "cmp", "-n", fmt.Sprint(mib), theirs, disk)
				from := fmt.Sprint(max(0, size-mib))
				run(t, "", "cmp", "-i", from, theirs, disk)
			})
		}
	}
}

// GPTs that are laid out in no common way, by sgdisk and sfdisk, follow to a larger disk, and are listed and grown as any other: with room
// for a board's loader before the entries, with few or many of these, with what nobody knows behind a name or in an unused one. A hybrid MBR's partitions stay as they are.
func TestOddGPT(t *testing.T) {
	root := "-n 1:4096:8191 -t 1:8300 "
	for what, c := range map[string]struct {
		sgdisk, script string
		change         func([]byte)
		hybrid         bool
	}{
		"entries elsewhere":  {sgdisk: "-j 2016 " + root},
		"six entries":        {script: "label: gpt\ntable-length: 6\nstart=4096,size=4096,type=linux\n"},
		"1024 entries":       {sgdisk: "-S 1024 " + root},
		"behind a name":      {script: gptScript, change: func(b []byte) { b[1024+56+60] = 1 }},
		"an unused entry":    {script: gptScript, change: func(b []byte) { b[1024+128*9+50] = 1 }},
		"hybrid":             {sgdisk: "-n 2:2048:4095 " + root + "-h 2", hybrid: true},
		"hybrid, of its own": {sgdisk: root + "-h 1:EE", hybrid: true},
		"a dummy for BIOSes": {script: gptScript, change: func(b []byte) { b[mbrEntries+16], b[mbrEntries+16+12] = 0x80, 1 }},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // the tools wait a while when they have written
			image := filepath.Join(t.TempDir(), "image")
			truncate(t, image, 8*mib)
			if c.script != "" {
				run(t, c.script, "sfdisk", "-q", image)
			} else {
				run(t, "", "sgdisk", append(strings.Fields(c.sgdisk), image)...)
			}
			if c.change != nil {
				b := judge.ReadFile(t, image)
				judge.WriteFile(t, image, append(resum(b[:mib], c.change), b[mib:]...))
			}
			first, size := beginning(t, image)
			all := judge.Value(Partitions(bytes.NewReader(first)))(t)
			if said := dump(t, image)["partitions"].([]any); len(all) != len(said) {
				t.Errorf("%d partitions, sfdisk has %d", len(all), len(said))
			}
			out, tail, err := Relocate(bytes.Clone(first), size, 20*mib, 512)
			if err != nil || len(tail) != 2 {
				t.Fatalf("%d extents, %v", len(tail), err)
			}
			disk := append(judge.ReadFile(t, image), make([]byte, 12*mib)...)
			copy(disk, out)
			for _, e := range tail {
				copy(disk[e.Off:], e.Data)
			}
			name := filepath.Join(t.TempDir(), "disk")
			judge.WriteFile(t, name, disk)
			sound(t, name)
			was, is := dump(t, image), dump(t, name)
			if got, want := fmt.Sprint(is["partitions"]), fmt.Sprint(was["partitions"]); got != want || is["lastlba"] == was["lastlba"] {
				t.Errorf("%s, to %v\nwas\n%s", got, is["lastlba"], want)
			}
			if c.hybrid {
				if !bytes.Equal(out[mbrEntries:512], first[mbrEntries:512]) {
					t.Error("the hybrid MBR has changed")
				}
				return
			}
			grown, g := grown(t, image, 20*mib, 512)
			if sound(t, grown); g.By == 0 {
				t.Errorf("%+v", g)
			}
		})
	}
}

// What grows is the partition alone: what the tools tell of the others, and of the disk, is as it was.
func TestGrowKeeps(t *testing.T) {
	for _, script := range []string{gptScript, mbrScript} {
		image := made(t, 8*mib, script)
		f, _ := os.OpenFile(image, os.O_RDWR, 0)
		f.WriteAt([]byte("boot code"), 0)
		f.Close()
		disk, g := grown(t, image, 64*mib, 512)
		was, is := dump(t, image), dump(t, disk)
		node := was["partitions"].([]any)[g.N-1].(map[string]any)
		node["size"] = float64(g.Size / 512)
		if l, ok := is["lastlba"]; ok {
			was["lastlba"] = l
		}
		if got, want := fmt.Sprint(is), fmt.Sprint(was); got != want {
			t.Errorf("%s\nwas\n%s", got, want)
		}
		if b, _ := beginning(t, disk); string(b[:9]) != "boot code" {
			t.Error("the boot code is lost")
		}
	}
}

// dump is what sfdisk tells of a disk.
func dump(t testing.TB, name string) map[string]any {
	t.Helper()
	var said struct{ Partitiontable map[string]any }
	out := strings.ReplaceAll(run(t, "", "sfdisk", "--json", name), name, "disk")
	judge.Must(t, json.Unmarshal([]byte(out), &said))
	return said.Partitiontable
}

// The filesystem in the grown partition takes all of it.
func TestGrowFilesystem(t *testing.T) {
	for _, script := range []string{gptScript, mbrScript} {
		image := made(t, 40*mib, strings.ReplaceAll(script, "size=5120", "size=32MiB"))
		root := t.TempDir()
		os.WriteFile(filepath.Join(root, "file"), bytes.Repeat([]byte("groundhog"), 100_000), 0o600)
		run(t, "", "mke2fs", "-q", "-F", "-t", "ext4", "-d", root, "-E", fmt.Sprintf("offset=%d", 4*mib), image, "32M")
		disk, g := grown(t, image, 200*mib, 512)
		part := filepath.Join(t.TempDir(), "part")
		run(t, "", "dd", "if="+disk, "of="+part, "bs=1M", "conv=sparse", "status=none",
			fmt.Sprintf("skip=%d", g.Start/mib), fmt.Sprintf("count=%d", g.Size/mib))
		truncate(t, part, g.Size)
		run(t, "", "e2fsck", "-fn", part)
		run(t, "", "resize2fs", part)
		run(t, "", "e2fsck", "-fn", part)
		stats := run(t, "", "debugfs", "-R", "stats", part)
		if !strings.Contains(strings.Join(strings.Fields(stats), " "), fmt.Sprintf("Block count: %d ", g.Size/1024)) &&
			!strings.Contains(strings.Join(strings.Fields(stats), " "), fmt.Sprintf("Block count: %d ", g.Size/4096)) {
			t.Errorf("partition of %d bytes: %.900s", g.Size, stats)
		}
		if out := run(t, "", "debugfs", "-R", "cat file", part); strings.Count(out, "groundhog") != 100_000 {
			t.Error("the file is lost")
		}
	}
}

// Disks with blocks of 4096 bytes, of which fdisk alone can be told.
func TestGrow4096(t *testing.T) {
	for label, commands := range map[string]string{
		"gpt": "g\nn\n1\n256\n511\nt\nuefi\nn\n2\n1024\n1279\nw\n",
		"dos": "o\nn\np\n1\n256\n511\nt\nc\nn\np\n2\n1024\n1279\nw\n",
	} {
		image := filepath.Join(t.TempDir(), "image")
		truncate(t, image, 8*mib)
		run(t, commands, "fdisk", "-b", "4096", image)
		disk, g := grown(t, image, 50*mib+8192, 4096)
		if g.N != 2 || g.Start != 4*mib || g.Start+g.Size != 49*mib && label == "gpt" || g.Start+g.Size != 50*mib && label == "dos" {
			t.Errorf("%s: %+v", label, g)
		}
		out := run(t, "v\np\nq\n", "fdisk", "-b", "4096", disk)
		if !strings.Contains(out, "No errors") && !strings.Contains(out, "Remaining") || strings.Contains(out, "corrupt") ||
			!strings.Contains(strings.Join(strings.Fields(out), " "), fmt.Sprintf("1024 %d %d", (g.Start+g.Size)/4096-1, g.Size/4096)) {
			t.Errorf("%s: %s", label, out)
		}
		if first, size := beginning(t, image); label == "gpt" {
			if _, _, _, err := Grow(first, size, 50*mib, 512); err == nil || !strings.Contains(err.Error(), "blocks of 4096") {
				t.Errorf("on a disk with other blocks: %v", err)
			}
		}
	}
}
