package flash

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/table"
	"groundhog/cmd/internal/flash/protocol"
	"groundhog/fixtures/judge"
)

// disklabel is an image with a partition table.
func disklabel(t *testing.T, size int64, script string) []byte {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	name := filepath.Join(t.TempDir(), "image")
	judge.WriteFile(t, name, judge.Noise(3, int(size)))
	cmd := exec.Command(judge.Tool(t, "sfdisk"), "-q", "--wipe=never", name)
	cmd.Stdin = strings.NewReader(script)
	judge.Run(t, cmd)
	return judge.ReadFile(t, name)
}

// signatures is what wipefs finds on a disk, by offset.
func signatures(t *testing.T, disk []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	judge.WriteFile(t, name, disk)
	out := judge.Output(t, exec.Command(judge.Tool(t, "wipefs"), "--no-act", "--parsable", name))
	return string(out)
}

// used is a disk with what raids and tables leave at its end.
func used(size int) []byte {
	b := judge.Noise(9, size)
	put := func(off int, s string) { copy(b[off:], s) }
	put(size-512, "EFI PART")
	put(size-4096, "EFI PART")
	raid := (size/512 - 16) &^ 7 * 512 // version 1.0, in whole blocks of 4 KiB
	clear(b[raid : raid+256])
	put(raid, "\xfc\x4e\x2b\xa9\x01\x00\x00\x00")
	copy(b[raid+144:], []byte{byte(raid / 512), byte(raid / 512 >> 8), byte(raid / 512 >> 16)})
	put(size&^65535-65536, "\xfc\x4e\x2b\xa9\x00\x00\x00\x00\x5a\x00\x00\x00") // version 0.90
	put(size-1024, "Intel Raid ISM Cfg Sig. 1.3.00")
	return b
}

// Of what stood at a disk's end before nothing is found any more, also behind a stream whose length nobody knew; what is in
// the image and in its partitions stays.
func TestTail(t *testing.T) {
	for name, img := range map[string][]byte{
		"GPT": disklabel(t, 4<<20, "label: gpt\nsize=1MiB\n"),
		"MBR": disklabel(t, 4<<20+512, "label: dos\nsize=2MiB,type=83\n"),
	} {
		for _, s := range []*source{{b: img, index: true}, {b: img, once: true}, {b: img}} {
			for _, more := range []int{12 << 20, 1 << 20, 5 << 10} {
				b := newBench(t, used(len(img)/4096*4096+more))
				if before := signatures(t, b.disk.b); more > 1<<20 && (!strings.Contains(before, "linux_raid_member") || !strings.Contains(before, "isw_raid_member")) {
					t.Fatalf("wipefs finds on the used disk: %s", before)
				}
				s.walks = 0
				fit := func(j *Job) {
					j.Fit = func(d protocol.Disk, size int64, first []byte) ([]byte, []chunk.Extent, error) {
						if !s.index {
							size = 0
						}
						out, put, err := table.Relocate(first, size, d.Size, d.Block)
						if err != nil {
							return nil, nil, err
						}
						zeros, err := table.Clear(first, size, d.Size, d.Block, put)
						return out, append(zeros, put...), err
					}
				}
				j := Job{Source: s, Disk: "/dev/test", Session: "x", Tool: "test", Connect: b.connect}
				fit(&j)
				r, err := Run(t.Context(), j)
				b.done.Wait()
				if err != nil || r.State != Verified {
					t.Fatalf("%s, %d bytes more: %+v, %v", name, more, r, err)
				}
				for line := range strings.Lines(signatures(t, b.disk.b)) {
					if f := strings.Split(strings.TrimSpace(line), ","); len(f) > 3 && f[3] != "gpt" && f[3] != "dos" && f[3] != "PMBR" && !strings.HasPrefix(line, "#") {
						t.Errorf("%s, %d bytes more, left at the end: %s", name, more, line)
					}
				}
				if name == "MBR" && strings.Contains(signatures(t, b.disk.b), "gpt") {
					t.Error("an old GPT's backup is left")
				}
				if !bytes.Equal(b.disk.b[chunk.Size:len(img)], img[chunk.Size:]) {
					t.Errorf("%s, %d bytes more: the image is not there", name, more)
				}
				if s.once {
					continue
				}
				s.walks = 0 // and once more: nothing is written
				writes := b.disk.writes
				if r, err := Run(t.Context(), j); err != nil || b.disk.writes != writes {
					t.Errorf("again: %d bytes written, %+v, %v", b.disk.writes-writes, r, err)
				}
				b.done.Wait()
				b.disk.b[len(b.disk.b)-2048] ^= 1 // the new system's
				s.walks, j.Check = 0, true
				if more == 12<<20 && name == "MBR" {
					if r, err := Run(t.Context(), j); err != nil {
						t.Errorf("checked: %+v, %v", r, err)
					}
					b.done.Wait()
				}
			}
		}
	}
}

// A stream may come from a disk that is larger than its partition table knows, and as large as this one: the table's backup is where this one ends, and it is said that
// the image has something else there. Where the length is known beforehand, or there is room, nothing is to be said.
func TestStreamBehindItsTable(t *testing.T) {
	const size = 12 << 20
	img := append(disklabel(t, 4<<20, "label: gpt\nsize=1MiB\n"), judge.Noise(5, size-4<<20)...)
	for what, c := range map[string]struct {
		s    *source
		disk int
		says bool
	}{
		"a stream":                {&source{b: img, once: true}, size, true},
		"a stream, a larger disk": {&source{b: img, once: true}, size + 1<<20, false},
		"a file":                  {&source{b: img, index: true}, size, false},
	} {
		b := newBench(t, judge.Noise(9, c.disk))
		var said []string
		j := Job{Source: c.s, Disk: "/dev/test", Session: "x", Tool: "test", Connect: b.connect, Say: func(s string) { said = append(said, s) },
			Fit: func(d protocol.Disk, size int64, first []byte) ([]byte, []chunk.Extent, error) {
				if !c.s.index {
					size = 0
				}
				return table.Relocate(first, size, d.Size, d.Block)
			}}
		r, err := Run(t.Context(), j)
		b.done.Wait()
		if err != nil || r.State != Verified {
			t.Fatalf("%s: %+v, %v", what, r, err)
		}
		if got := strings.Join(said, "; "); strings.Contains(got, "behind what its partition table has") != c.says || c.says && !strings.Contains(got, "16896 bytes there") {
			t.Errorf("%s: it says %q", what, got)
		}
		if kept := bytes.Equal(b.disk.b[chunk.Size:size], img[chunk.Size:]); kept == c.says {
			t.Errorf("%s: the image is there as it came: %v", what, kept)
		}
	}
}
